/**
 * A destination, and the platform that remembers states for it, as far as syncs amount to something there: what a
 * user finds in the tables, and what the next sync is given.
 */
import { assert } from "@effect/vitest"
import type { ChildResult } from "../support/child.ts"
import { type Output, parseOutput, type StateOfStream } from "../support/connector.ts"

/** A stream as a connection configures it. */
export interface ConnectionStream {
  readonly stream: { readonly name: string; readonly json_schema: object }
  readonly sync_mode: "full_refresh" | "incremental"
  readonly destination_sync_mode: "overwrite" | "append" | "append_dedup"
  readonly cursor_field: ReadonlyArray<string>
  readonly primary_key: ReadonlyArray<ReadonlyArray<string>>
  readonly generation_id?: number | null | undefined
  readonly minimum_generation_id?: number | null | undefined
  readonly sync_id?: number | null | undefined
}

export interface Connection {
  readonly streams: ReadonlyArray<ConnectionStream>
}

/** One row of a table: a record with what destinations add to it. */
export interface Row {
  /** The record's data in the text that was printed. */
  readonly text: string
  readonly data: Readonly<Record<string, unknown>>
  readonly emittedAt: number
  readonly generation: number
}

/** A line of a read, as far as a destination looks. */
export type Line =
  | { readonly type: "RECORD"; readonly stream: string; readonly row: Omit<Row, "generation"> }
  | { readonly type: "STATE"; readonly stream: string; readonly state: StateOfStream }
  | { readonly type: "COMPLETE"; readonly stream: string }

interface Message {
  readonly type: string
  readonly record: { readonly stream: string; readonly data: Row["data"]; readonly emitted_at: number }
  readonly state: StateOfStream
  readonly trace: {
    readonly stream_status?: {
      readonly stream_descriptor: { readonly name: string }
      readonly status: string
    }
  }
}

/** What a read printed, in order. Half a line at the end, of a process that was killed, is none. */
export function* linesOf(stdout: string): Generator<Line> {
  for (const line of stdout.split("\n").slice(0, -1)) {
    const { record, state, trace, type } = JSON.parse(line) as Message
    if (type === "RECORD") {
      const { data, emitted_at, stream } = record
      const text = line.slice(line.indexOf(',"data":') + ',"data":'.length, -"}}".length)
      yield { type, stream, row: { text, data, emittedAt: emitted_at } }
    } else if (type === "STATE") {
      yield { type, stream: state.stream.stream_descriptor.name, state }
    } else if (type === "TRACE" && trace.stream_status?.status === "COMPLETE") {
      yield { type: "COMPLETE", stream: trace.stream_status.stream_descriptor.name }
    }
  }
}

/** What a process that was killed has printed, without half a line at its end. */
export const outputOfKilled = ({ code, signal, stderr, stdout }: ChildResult): Output =>
  parseOutput({ code, signal, stderr, stdout: stdout.slice(0, stdout.lastIndexOf("\n") + 1), messages: [] })

/** The states of some streams as platforms hand them back: with keys of their own, and nulls. */
export const stateFile = (states: Iterable<StateOfStream>): ReadonlyArray<object> =>
  Array.from(states, ({ stream: { stream_descriptor, stream_state } }) => ({
    type: "STREAM",
    stream: { stream_descriptor: { ...stream_descriptor, namespace: null }, stream_state },
    global: null,
    data: null
  }))

/** Tables and states, from the first sync of a connection to its last. */
export class Destination {
  readonly #tables = new Map<string, ReadonlyArray<Row>>()
  readonly #states = new Map<string, StateOfStream>()

  /** What the platform gives to the next sync. */
  get states(): ReadonlyArray<object> {
    return stateFile(this.#states.values())
  }

  /** The present content of a table. */
  rows(stream: string): ReadonlyArray<Row> {
    return this.#tables.get(stream) ?? []
  }

  /**
   * Takes what a read printed, however it ended. What follows a stream's last STATE no one has confirmed to be stored,
   * and here it is not: a sync that resumes from the state has to read it again.
   */
  load(stdout: string, connection: Connection): void {
    const streams = new Map(connection.streams.map((stream) => [stream.stream.name, stream]))
    const arrived = new Map<string, Array<Row>>(connection.streams.map(({ stream }) => [stream.name, []]))
    for (const line of linesOf(stdout)) {
      const stream = streams.get(line.stream)!
      const rows = arrived.get(line.stream)!
      if (line.type === "RECORD") {
        rows.push({ ...line.row, generation: stream.generation_id ?? 0 })
        continue
      }
      this.#store(stream, rows.splice(0))
      if (line.type === "STATE") this.#states.set(line.stream, line.state)
      else this.#finish(stream)
    }
  }

  #store(stream: ConnectionStream, rows: ReadonlyArray<Row>): void {
    const all = [...this.rows(stream.stream.name), ...rows]
    this.#tables.set(
      stream.stream.name,
      stream.destination_sync_mode === "append_dedup" ? newest(stream, all) : all
    )
  }

  /** A complete stream replaces the generations before it, where it is to: that is what "overwrite" means. */
  #finish({ minimum_generation_id, stream }: ConnectionStream): void {
    const minimum = minimum_generation_id ?? 0
    this.#tables.set(
      stream.name,
      this.rows(stream.name).filter(({ generation }) => generation >= minimum)
    )
  }
}

/** Of the rows with the same primary key the one with the latest cursor, then the one that was read last. */
const newest = (
  { cursor_field, primary_key }: ConnectionStream,
  rows: ReadonlyArray<Row>
): ReadonlyArray<Row> => {
  const [cursor] = cursor_field
  const order = ({ data, emittedAt }: Row): readonly [string, number] => [String(data[cursor!]), emittedAt]
  const byKey = new Map<string, Row>()
  for (const row of rows) {
    const key = JSON.stringify(primary_key.map(([field]) => row.data[field!]))
    const other = byKey.get(key)
    if (other === undefined || !isBefore(order(row), order(other))) byKey.set(key, row)
  }
  return [...byKey.values()]
}

const isBefore = (a: readonly [string, number], b: readonly [string, number]): boolean =>
  a[0] === b[0] ? a[1] < b[1] : a[0] < b[0]

/** Compares rows whatever their order, each as often as it comes; shows a few that differ. */
export const assertSameRows = (actual: Iterable<string>, expected: Iterable<string>, what: string): void => {
  const surplus = new Map<string, number>()
  let balance = 0
  const count = (text: string, by: number): void => {
    surplus.set(text, (surplus.get(text) ?? 0) + by)
    balance += by
  }
  for (const text of actual) count(text, 1)
  for (const text of expected) count(text, -1)
  const some = (isIt: (count: number) => boolean) =>
    [...surplus].filter(([, count]) => isIt(count)).slice(0, 3)
  assert.deepStrictEqual(
    { missing: some((count) => count < 0), surplus: some((count) => count > 0), balance },
    { missing: [], surplus: [], balance: 0 },
    what
  )
}
