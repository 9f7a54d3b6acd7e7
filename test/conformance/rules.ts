/** The rules for every run, whatever its arguments and however it ends. */

import { assert } from "@effect/vitest"
import type { ValidateFunction } from "ajv"
import { Effect } from "effect"
import type { ChildOptions } from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { makeAjv, problemOfLine } from "./definition.ts"

/** A configured catalog, as far as the rules need it. */
export interface Catalog {
  readonly streams: ReadonlyArray<{
    readonly stream: { readonly name: string; readonly json_schema: object }
    readonly sync_mode: string
    /** That of series by default. */
    readonly primary_key?: ReadonlyArray<ReadonlyArray<string>> | null
  }>
}

/** Runs a command. Every line must match the definition, and standard error must be empty. */
export const verb = (args: ReadonlyArray<string>, options?: ChildOptions): Effect.Effect<connector.Output> =>
  Effect.map(connector.runVerb(args, options), (output) => {
    checkLines(output)
    return output
  })

/** Reads a catalog, and checks all rules for a read, even if it fails. */
export const read = (
  files: connector.Workspace,
  config: object,
  catalog: Catalog,
  state?: unknown,
  options?: ChildOptions
): Effect.Effect<connector.Output> =>
  Effect.map(connector.read(files, config, catalog, state, options), (output) => {
    checkLines(output)
    checkRead(output, catalog)
    return output
  })

/** A stopped process may leave a partial last line, which readers drop; all other lines must be complete. */
const linesOf = (output: connector.Output): ReadonlyArray<string> => {
  const lines = output.stdout.split("\n")
  const rest = lines.pop()
  if (output.signal === null) assert.strictEqual(rest, "", "the last line is complete")
  return lines
}

/** Checks each line on its own. */
export const checkLines = (output: connector.Output): void => {
  assert.strictEqual(output.stderr, "", "standard error is silent")
  for (const line of linesOf(output)) {
    const problem = problemOfLine(line)
    if (problem !== undefined) assert.fail(`${problem}: ${line.slice(0, 500)}`)
  }
}

/** The messages about one stream so far. */
interface Progress {
  isRunning: boolean
  ended: "COMPLETE" | "INCOMPLETE" | undefined
  failed: boolean
  sinceState: number
  states: number
  lastState: Readonly<Record<string, unknown>>
}

interface Message {
  readonly type: string
  readonly record: {
    readonly stream: string
    readonly emitted_at: number
    readonly data: Readonly<Record<string, unknown>>
  }
  readonly state: connector.StateOfStream
  readonly trace: {
    readonly type: string
    readonly error: connector.TraceError
    readonly estimate: { readonly name: string }
    readonly stream_status: {
      readonly stream_descriptor: { readonly name: string }
      readonly status: string
      readonly reasons?: ReadonlyArray<unknown>
    }
  }
}

const seriesKey = [["series_id"], ["time"]]

const declaresColumns = ({ properties }: { readonly properties?: object | null }): boolean =>
  properties !== undefined && properties !== null

/** Checks the messages of a read against each other, its exit code, and each record against its stream's schema. */
export const checkRead = (output: connector.Output, catalog: Catalog): void => {
  const ajv = makeAjv()
  const configured = new Map(catalog.streams.map((stream) => [stream.stream.name, stream]))
  const validators = new Map<string, ValidateFunction>(
    catalog.streams.map(({ stream }) => [
      stream.name,
      // The stream's own "additionalProperties" does not allow undeclared columns. A stream that declares no columns
      // may have any.
      ajv.compile({
        type: "object",
        ...stream.json_schema,
        additionalProperties: !declaresColumns(stream.json_schema)
      })
    ])
  )
  const streams = new Map<string, Progress>()
  const errors: Array<connector.TraceError> = []

  /** The progress of a stream that may still emit messages. */
  const open = (name: string, what: string): Progress => {
    const progress = streams.get(name)
    if (progress === undefined) return assert.fail(`${what} of ${name} before STARTED`)
    assert.isUndefined(progress.ended, `${what} of ${name} after its end`)
    return progress
  }
  const progressOf = (name: string, what: string): Progress => {
    const progress = open(name, what)
    assert.isTrue(progress.isRunning, `${what} of ${name} before RUNNING`)
    return progress
  }

  const onStatus = (name: string, status: string, reasons: ReadonlyArray<unknown> | undefined): void => {
    if (status === "STARTED") {
      assert.isTrue(configured.has(name), `${name} is in the catalog`)
      assert.isFalse(streams.has(name), `${name} is STARTED once`)
      streams.set(name, {
        isRunning: false,
        ended: undefined,
        failed: false,
        sinceState: 0,
        states: 0,
        lastState: {}
      })
      return
    }
    const progress = open(name, status)
    if (status === "RUNNING") {
      // A waiting stream is RUNNING too, before or after its first response.
      if (reasons !== undefined) return
      assert.isFalse(progress.isRunning, `${name} is RUNNING once`)
      progress.isRunning = true
      return
    }
    if (status === "COMPLETE") {
      progressOf(name, status)
      assert.isAbove(progress.states, 0, `${name} has a STATE before COMPLETE`)
      assert.strictEqual(progress.sinceState, 0, `${name} has no record after its last STATE`)
      assert.isFalse(progress.failed, `${name} has not failed before COMPLETE`)
      assert.strictEqual(
        progress.lastState.__ab_full_refresh_sync_complete,
        configured.get(name)?.sync_mode === "full_refresh" ? true : undefined,
        `${name} ends with the state of its sync mode`
      )
    }
    progress.ended = status as "COMPLETE" | "INCOMPLETE"
  }

  for (const line of linesOf(output)) {
    const message = JSON.parse(line) as Message
    assert.include(["RECORD", "STATE", "LOG", "TRACE"], message.type)
    if (message.type === "RECORD") {
      const { data, stream } = message.record
      progressOf(stream, "RECORD").sinceState++
      const validate = validators.get(stream)!
      if (!validate(data)) assert.fail(`${ajv.errorsText(validate.errors)}: ${line}`)
      const key = configured.get(stream)?.primary_key ?? seriesKey
      assert.isTrue(
        key.every(([column = ""]) => data[column] != null),
        `the primary key is there: ${line}`
      )
    } else if (message.type === "STATE") {
      const { sourceStats, stream } = message.state
      const { name } = stream.stream_descriptor
      const progress = progressOf(name, "STATE")
      assert.strictEqual(sourceStats.recordCount, progress.sinceState, `recordCount of ${line}`)
      progress.sinceState = 0
      progress.states++
      progress.lastState = stream.stream_state
    } else if (message.type === "TRACE") {
      const { error, estimate, stream_status, type } = message.trace
      if (type === "ESTIMATE") progressOf(estimate.name, type)
      if (type === "STREAM_STATUS") {
        onStatus(stream_status.stream_descriptor.name, stream_status.status, stream_status.reasons)
      }
      if (type === "ERROR") {
        errors.push(error)
        if (error.stream_descriptor !== undefined) open(error.stream_descriptor.name, "ERROR").failed = true
      }
    }
  }

  if (output.signal !== null) return
  const complete = [...streams.values()].filter(({ ended }) => ended === "COMPLETE").length
  assert.deepStrictEqual(
    [...streams].filter(([, { ended }]) => ended === undefined).map(([name]) => name),
    [],
    "every stream that was STARTED ends"
  )
  if (output.code === 0) {
    assert.strictEqual(complete, configured.size, "exit 0: every stream is COMPLETE")
    assert.deepStrictEqual(errors, [], "exit 0: no errors")
  } else {
    assert.strictEqual(output.code, 1)
    // Only the last error describes the failure of the read.
    assert.isDefined(errors.at(-1), "exit 1: an error is logged")
    assert.isUndefined(errors.at(-1)?.stream_descriptor, "the last error is the entire read's")
    for (const [name, { ended, failed }] of streams) {
      if (failed) assert.include(errors.at(-1)?.message, name, "the last error names the failed streams")
      if (failed) assert.strictEqual(ended, "INCOMPLETE")
    }
  }
}
