/**
 * A model of a destination and of the platform that stores states for it: what a user finds in the tables after each
 * sync, and which states the next sync receives.
 */
import { assert } from "@effect/vitest"
import type { ChildResult } from "../support/child.ts"
import { type Output, parseOutput, type StateOfStream } from "../support/connector.ts"

/** A stream as configured in a connection. */
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

/** A row of a table: a record with the columns that destinations add. */
export interface Row {
  /** The record's data, as the text that was printed. */
  readonly text: string
  readonly data: Readonly<Record<string, unknown>>
  readonly emittedAt: number
  readonly generation: number
}

/** A line of a read, as far as a destination needs it. */
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

/** The messages of a read, in order. A killed process may end with a partial line, which is dropped. */
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

/** The output of a killed process, without a partial line at its end. */
export const outputOfKilled = ({ code, signal, stderr, stdout }: ChildResult): Output =>
  parseOutput({ code, signal, stderr, stdout: stdout.slice(0, stdout.lastIndexOf("\n") + 1), messages: [] })

/** The states of some streams as platforms return them: with additional keys, and nulls. */
export const stateFile = (states: Iterable<StateOfStream>): ReadonlyArray<object> =>
  Array.from(states, ({ stream: { stream_descriptor, stream_state } }) => ({
    type: "STREAM",
    stream: { stream_descriptor: { ...stream_descriptor, namespace: null }, stream_state },
    global: null,
    data: null
  }))

/** The tables and states of a connection, from its first sync to its last. */
export class Destination {
  readonly #tables = new Map<string, ReadonlyArray<Row>>()
  readonly #states = new Map<string, StateOfStream>()

  /** What the platform passes to the next sync. */
  get states(): ReadonlyArray<object> {
    return stateFile(this.#states.values())
  }

  /** The current content of a table. */
  rows(stream: string): ReadonlyArray<Row> {
    return this.#tables.get(stream) ?? []
  }

  /**
   * Loads the output of a read, however it ended. Records after a stream's last STATE are not confirmed, and are not
   * stored here: a sync that resumes from the state must read them again.
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

  /** A complete stream replaces older generations if the catalog says so: that is what "overwrite" means. */
  #finish({ minimum_generation_id, stream }: ConnectionStream): void {
    const minimum = minimum_generation_id ?? 0
    this.#tables.set(
      stream.name,
      this.rows(stream.name).filter(({ generation }) => generation >= minimum)
    )
  }
}

/** For each primary key, keeps the row with the latest cursor; among equal ones, the row that was read last. */
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

/** Compares rows as multisets, regardless of order; shows a few that differ. */
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
