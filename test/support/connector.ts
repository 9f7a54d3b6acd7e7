/**
 * The built connector as a platform uses it: configuration, catalog and state in files, messages on stdout.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import * as child from "./child.ts"
import { recordKey } from "./referenceRecords.ts"

/** A stream as `discover` emits it, as far as tests need it. */
export interface Stream {
  readonly name: string
  readonly json_schema: {
    readonly properties: Readonly<Record<string, unknown>>
    readonly description?: string
  }
  readonly [key: string]: unknown
}

/** One record, with its value in the printed digits (`null` for null). */
export interface ParsedRecord {
  readonly stream: string
  readonly data: Readonly<Record<string, unknown>>
  readonly valueText: string
  readonly emittedAt: number
}

/** The output of the connector, grouped by kind. */
export interface Output extends child.ChildResult {
  readonly records: ReadonlyArray<ParsedRecord>
  /** The `state` of each STATE message, in order. */
  readonly states: ReadonlyArray<StateOfStream>
  readonly errors: ReadonlyArray<TraceError>
  /** `STREAM:STATUS`, in order. */
  readonly statuses: ReadonlyArray<string>
  readonly logs: ReadonlyArray<string>
}

/** The content of a STATE message. */
export interface StateOfStream {
  readonly type: string
  readonly stream: {
    readonly stream_descriptor: { readonly name: string }
    readonly stream_state: Readonly<Record<string, unknown>>
  }
  readonly sourceStats: { readonly recordCount: number }
}

/** The error of a TRACE message. */
export interface TraceError {
  readonly message: string
  readonly failure_type: string
  readonly stream_descriptor?: { readonly name: string }
}

interface AnyMessage {
  readonly type: string
  readonly record: {
    readonly stream: string
    readonly data: Record<string, unknown>
    readonly emitted_at: number
  }
  readonly state: StateOfStream
  readonly catalog: { readonly streams: ReadonlyArray<Stream> }
  readonly connectionStatus: { readonly status: string; readonly message?: string }
  readonly log: { readonly level: string; readonly message: string }
  readonly trace: {
    readonly type: string
    readonly error: TraceError
    readonly stream_status: { readonly stream_descriptor: { readonly name: string }; readonly status: string }
  }
}

/** A folder for the files of one test. */
export interface Workspace {
  readonly path: (name: string) => string
  readonly write: (name: string, content: unknown) => string
}

/** Creates a folder that is removed with the scope. Text is written unchanged, anything else as JSON. */
export const workspace: Effect.Effect<Workspace, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "source-prometheus-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ),
  (folder): Workspace => ({
    path: (name) => join(folder, name),
    write: (name, content) => {
      const path = join(folder, name)
      writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))
      return path
    }
  })
)

/** Runs a command and groups its output. */
export const runVerb = (args: ReadonlyArray<string>, options?: child.ChildOptions): Effect.Effect<Output> =>
  Effect.map(child.run(args, options), parseOutput)

/** Groups the output of a run. */
export const parseOutput = (result: child.ChildResult): Output => {
  const lines = result.stdout.split("\n").filter((line) => line !== "")
  const messages = lines.map(parseLine)
  const traces = messages
    .filter(({ message }) => message.type === "TRACE")
    .map(({ message }) => message.trace)
  return {
    code: result.code,
    signal: result.signal,
    stdout: result.stdout,
    stderr: result.stderr,
    get messages() {
      return result.messages
    },
    records: messages
      .filter(({ message }) => message.type === "RECORD")
      .map(({ message: { record }, valueText }) => ({
        stream: record.stream,
        data: record.data,
        valueText,
        emittedAt: record.emitted_at
      })),
    states: messages.filter(({ message }) => message.type === "STATE").map(({ message }) => message.state),
    errors: traces.filter((trace) => trace.type === "ERROR").map((trace) => trace.error),
    statuses: traces
      .filter((trace) => trace.type === "STREAM_STATUS")
      .map(({ stream_status }) => `${stream_status.stream_descriptor.name}:${stream_status.status}`),
    logs: messages
      .filter(({ message }) => message.type === "LOG")
      .map(({ message }) => `${message.log.level} ${message.log.message}`)
  }
}

/** Parses a line, and keeps the digits of `data.value`, which `JSON.parse` alone would turn into a number. */
const parseLine = (line: string): { readonly message: AnyMessage; readonly valueText: string } => {
  let valueText = ""
  const reviver = (key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    if (key === "value" && context?.source !== undefined && (typeof value === "number" || value === null)) {
      valueText = context.source
    }
    return value
  }
  return { message: JSON.parse(line, reviver) as AnyMessage, valueText }
}

/** The streams that `discover` finds. */
export const discover = Effect.fnUntraced(function* (files: Workspace, config: object) {
  const output = yield* runVerb(["discover", "--config", files.write("config.json", config)])
  const catalogs = output.messages.filter(
    (message) => message.type === "CATALOG"
  ) as unknown as ReadonlyArray<AnyMessage>
  if (catalogs.length !== 1) throw new Error(`discover printed no catalog: ${output.stdout}${output.stderr}`)
  return catalogs[0]!.catalog.streams
})

/** A stream as discovered before it had certain labels, given by their columns. */
export const beforeLabels = (stream: Stream, columns: ReadonlyArray<string>): Stream => {
  const { other_labels, ...properties } = stream.json_schema.properties
  const { $comment = "discovered_labels: []", ...rest } = (other_labels ?? {}) as {
    readonly $comment?: string
  }
  const [keyword, list = "[]"] = $comment.split(/(?<=^discovered_labels: )/)
  const isKept = (column: string) => !columns.includes(column)
  const labels = (JSON.parse(list) as ReadonlyArray<string>).filter(
    (label) => isKept(label) && isKept(`label_${label}`)
  )
  return {
    ...stream,
    json_schema: {
      ...stream.json_schema,
      properties: {
        ...Object.fromEntries(Object.entries(properties).filter(([column]) => isKept(column))),
        other_labels: { ...rest, $comment: keyword + JSON.stringify(labels) }
      }
    }
  }
}

/** A configured catalog of streams. */
export const configure = (streams: ReadonlyArray<Stream>, syncMode: "full_refresh" | "incremental") => ({
  streams: streams.map((stream) => ({
    stream,
    sync_mode: syncMode,
    destination_sync_mode: syncMode === "full_refresh" ? "overwrite" : "append_dedup",
    cursor_field: ["time"],
    primary_key: [["series_id"], ["time"]]
  }))
})

/** An incremental catalog with only stream names, which leaves the columns to the configuration. */
export const catalogOf = (...names: ReadonlyArray<string>) => ({
  streams: names.map((name) => ({
    stream: { name, json_schema: {} },
    sync_mode: "incremental",
    destination_sync_mode: "append"
  }))
})

/** Writes the files of a read. Returns its arguments. */
export const readArgs = (files: Workspace, config: object, catalog: object): ReadonlyArray<string> => [
  "read",
  "--config",
  files.write("config.json", config),
  "--catalog",
  files.write("catalog.json", catalog)
]

/** Reads a configured catalog, with an optional state. */
export const read = (
  files: Workspace,
  config: object,
  catalog: object,
  state?: unknown,
  options?: child.ChildOptions
): Effect.Effect<Output> =>
  runVerb(
    [
      ...readArgs(files, config, catalog),
      ...(state === undefined ? [] : ["--state", files.write("state.json", state)])
    ],
    options
  )

const ours = new Set(["time", "value", "special_value", "series_id", "histogram", "other_labels", "labels"])

/** The labels of a record, from its columns, including the metric's name. */
export const labelsOf = ({ data, stream }: ParsedRecord): ReadonlyArray<readonly [string, string]> => {
  const labels: Array<readonly [string, string]> = [["__name__", stream]]
  for (const [column, value] of Object.entries(data)) {
    if (ours.has(column)) continue
    const rest = column.startsWith("label_") ? column.slice("label_".length) : column
    labels.push([ours.has(rest.toLowerCase()) ? rest : column, value as string])
  }
  for (const group of ["other_labels", "labels"]) {
    labels.push(...Object.entries((data[group] ?? {}) as Record<string, string>))
  }
  return labels
}

/** Records by the key of `referenceRecords`, with the text of their value. Throws if a key occurs twice. */
export const byKey = (records: ReadonlyArray<ParsedRecord>): Map<string, string> => {
  const out = new Map<string, string>()
  for (const record of records) {
    const { data } = record
    const key = recordKey(labelsOf(record), Date.parse(data.time as string))
    if (out.has(key)) throw new Error(`The record ${key} was printed twice`)
    const special = data.special_value as string | undefined
    out.set(
      key,
      data.histogram === undefined ? (special ?? record.valueText) : JSON.stringify(data.histogram)
    )
  }
  return out
}
