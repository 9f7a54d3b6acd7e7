/** Reads of a real server through a proxy that injects faults, and what they must satisfy despite any fault. */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Choices } from "../choices.ts"
import type { ChildOptions } from "./child.ts"
import * as connector from "./connector.ts"
import { awkwardLabels, awkwardValues, specialValues, start } from "./dataset.ts"
import * as faultProxy from "./faultProxy.ts"
import * as RealPrometheus from "./RealPrometheus.ts"
import { referenceRecords } from "./referenceRecords.ts"
import type { RemoteSeriesInput } from "./remoteWrite.ts"

const minute = 60_000
const MINUTES = 400
const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const everyMinute = (
  labels: RemoteSeriesInput["labels"],
  value: (i: number) => RemoteSeriesInput["samples"][0][1] | undefined
): RemoteSeriesInput => ({
  labels,
  samples: Array.from({ length: MINUTES }, (_, i) => [start + i * minute, value(i)] as const).flatMap(
    ([time, value]) => (value === undefined ? [] : [[time, value] as const])
  )
})

/** Generates numbers with digits of all lengths. */
const longDigits = (seed: number) => {
  const choices = new Choices(seed, Number.POSITIVE_INFINITY)
  return () => (choices.below(2_000_000) - 1_000_000) * 10 ** (choices.below(40) - 20)
}

/** A small data set with everything that an interruption could damage: long digits, non-ASCII text, gaps, histograms. */
const dataset: ReadonlyArray<RemoteSeriesInput> = [
  ...Array.from({ length: 3 }, (_, n) => everyMinute({ __name__: "digits", n: `${n}` }, longDigits(n))),
  ...awkwardValues.map((text, n) => everyMinute({ __name__: "texts", text }, (i) => i * n)),
  everyMinute([["__name__", "special"], ...awkwardLabels], (i) => specialValues[i % specialValues.length]),
  // One series ends where another begins, and a third has gaps.
  everyMinute({ __name__: "gaps", n: "0" }, (i) => (i < 150 ? i : undefined)),
  everyMinute({ __name__: "gaps", n: "1" }, (i) => (i > 170 ? -i : undefined)),
  everyMinute({ __name__: "gaps", n: "2" }, (i) => (i % 40 < 20 ? i / 3 : undefined)),
  ...Array.from({ length: 2 }, (_, n) =>
    everyMinute({ __name__: "histograms", n: `${n}` }, (i) =>
      i % 9 === 0
        ? i
        : {
            count: 6 + i,
            sum: 18.4 * n,
            schema: 1,
            zeroThreshold: 0.001,
            zeroCount: i,
            offset: -1,
            counts: [1, 2, 3]
          }
    )
  ),
  // More samples than the server allows per query: its windows are halved.
  ...Array.from({ length: 12 }, (_, n) => everyMinute({ __name__: "wide", n: `${n}` }, (i) => i * 100 + n))
]

/** The names of the streams. */
export const streams = ["digits", "gaps", "histograms", "special", "texts", "wide"] as const

/** A server with this data set. */
export const makeServer = Effect.gen(function* () {
  const server = yield* RealPrometheus.make({
    remoteWriteReceiver: true,
    flags: ["--enable-feature=native-histograms", "--query.max-samples=2900"]
  })
  yield* server.remoteWrite(dataset)
  return server
})

/** The server, and every record that a read of it must emit. */
export class Source extends Context.Service<
  Source,
  {
    readonly server: RealPrometheus.RealPrometheus
    readonly expected: ReadonlyMap<string, string>
  }
>()("test/Source") {
  static readonly layer = Layer.effect(
    Source,
    Effect.gen(function* () {
      const server = yield* makeServer
      const expected = new Map<string, string>()
      for (const metric of streams) {
        const part = yield* Effect.promise(() =>
          referenceRecords({
            baseUrl: server.baseUrl,
            metric,
            start: start / 1000,
            end: start / 1000 + (MINUTES - 1) * 60,
            step: 60,
            pointsPerRequest: 100
          })
        )
        for (const [key, value] of part) expected.set(key, value)
      }
      assert.isAbove(expected.size, 8000)
      return Source.of({ expected, server })
    })
  )
}

/** The options of a read. */
export interface ReadOptions {
  readonly config?: object
  readonly state?: ReadonlyArray<connector.StateOfStream>
  readonly names?: ReadonlyArray<string>
  readonly child?: ChildOptions
}

/** The configuration that reads everything at an address. */
export const settings = (baseUrl: string, more: object = {}) => ({
  base_url: baseUrl,
  start_date: iso(start),
  end_date: iso(start + (MINUTES - 1) * minute),
  step: 60,
  ...more
})

/** Reads at an address, in a separate folder: several reads may run concurrently. */
export const readFrom = (baseUrl: string, options: ReadOptions = {}): Effect.Effect<connector.Output> =>
  Effect.scoped(
    Effect.flatMap(connector.workspace, (files) =>
      connector.read(
        files,
        settings(baseUrl, options.config),
        connector.catalogOf(...(options.names ?? streams)),
        options.state,
        options.child
      )
    )
  )

/** Reads through a proxy with faults. */
export const readThrough = Effect.fnUntraced(function* (
  proxy: Omit<faultProxy.FaultProxyOptions, "upstream">,
  options: ReadOptions = {}
) {
  const { server } = yield* Source
  const through = yield* faultProxy.make({ upstream: server.baseUrl, ...proxy })
  const output = yield* readFrom(through.baseUrl, options)
  return { output, proxy: through }
}, Effect.scoped)

/** A plan that injects a fault into some windows of every stream, each so many times before it gets a response. */
export const someWindows =
  (
    seed: number,
    fault: (choices: Choices, request: faultProxy.SeenRequest) => faultProxy.Fault,
    { times = 1 }: { readonly times?: number } = {}
  ): faultProxy.Plan =>
  (request) => {
    if (request.metric === undefined || request.attempt >= times) return undefined
    const whichever = faultProxy.choicesOf(seed, { ...request, attempt: -1, ordinal: -1 })
    // Always one of the first two windows, which every stream has.
    const isHit =
      request.ordinal === whichever.below(2) ||
      faultProxy.choicesOf(seed, { ...request, attempt: -1 }).oneIn(3)
    return isHit ? fault(faultProxy.choicesOf(seed, request), request) : undefined
  }

const difference = (actual: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>) => ({
  missing: [...expected.keys()].filter((key) => !actual.has(key)).slice(0, 3),
  surplus: [...actual.keys()].filter((key) => !expected.has(key)).slice(0, 3),
  different: [...actual]
    .filter(([key, value]) => expected.has(key) && expected.get(key) !== value)
    .map(([key, value]) => `${key}: ${value} instead of ${expected.get(key)}`)
    .slice(0, 3)
})

const none = { missing: [], surplus: [], different: [] }

const assertSame = (
  actual: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
  context: string
): void => assert.deepStrictEqual(difference(actual, expected), none, context)

const confirmed = (output: connector.Output, name: string): number =>
  output.states
    .filter(({ stream }) => stream.stream_descriptor.name === name)
    .reduce((sum, { sourceStats }) => sum + sourceStats.recordCount, 0)

/** No record before a state is later than the state, so a read that resumes from it continues right after it. */
const assertStatesInOrder = (output: connector.Output, context: string): void => {
  const latest = new Map<string, string>()
  for (const message of output.messages as ReadonlyArray<unknown> as ReadonlyArray<RecordOrState>) {
    if (message.type === "RECORD") {
      const { data, stream } = message.record
      if (data.time > (latest.get(stream) ?? "")) latest.set(stream, data.time)
    } else if (message.type === "STATE") {
      const { stream_descriptor, stream_state } = message.state.stream
      const { name } = stream_descriptor
      assert.isAtMost(
        Date.parse(latest.get(name) ?? ""),
        Date.parse(String(stream_state.time)),
        `${context}: ${name}`
      )
    }
  }
}

type RecordOrState =
  | {
      readonly type: "RECORD"
      readonly record: { readonly stream: string; readonly data: { readonly time: string } }
    }
  | { readonly type: "STATE"; readonly state: connector.StateOfStream }

/** Asserts that every record was emitted once, in the server's digits, and that the states cover all of them. */
export const assertWhole = (
  output: connector.Output,
  expected: ReadonlyMap<string, string>,
  context = ""
): void => {
  assert.deepStrictEqual(output.errors, [], `${context}\n${output.logs.join("\n")}`)
  assert.deepStrictEqual([output.code, output.stderr], [0, ""], context)
  assertSame(connector.byKey(output.records), expected, context)
  assertStatesInOrder(output, context)
  for (const name of new Set(output.records.map(({ stream }) => stream))) {
    assert.strictEqual(
      confirmed(output, name),
      output.records.filter(({ stream }) => stream === name).length,
      `${context}: ${name}`
    )
    assert.include(output.statuses, `${name}:COMPLETE`, context)
  }
}

/** How a read must fail. */
export interface Failure {
  readonly type: "config_error" | "transient_error" | "system_error"
  readonly texts: ReadonlyArray<RegExp>
}

/** Asserts that it failed as expected, with a readable message, and that every stream has ended. */
export const assertFailed = (output: connector.Output, { texts, type }: Failure, context = ""): void => {
  const error = output.errors.at(-1)
  assert.strictEqual(error?.failure_type, type, `${context}\n${output.logs.join("\n")}`)
  for (const text of texts) assert.match(error?.message ?? "", text, context)
  assert.notMatch(output.stdout, /^\s+at .*\.[jt]s:\d+/m)
  assert.deepStrictEqual([output.code, output.stderr], [1, ""], context)
  const began = output.statuses.filter((status) => status.endsWith(":STARTED")).length
  assert.strictEqual(output.statuses.filter((s) => /:(COMPLETE|INCOMPLETE)$/.test(s)).length, began, context)
}

/** The last state of each stream, which a platform stores. */
export const lastStates = (output: connector.Output): ReadonlyArray<connector.StateOfStream> => [
  ...new Map(output.states.map((state) => [state.stream.stream_descriptor.name, state])).values()
]

/**
 * Asserts that the output of a failed read is correct, and that another read that resumes from its states, without faults,
 * emits exactly the records that they do not cover: nothing is lost, and only unconfirmed rows are repeated, unchanged. `from` says
 * how it reads; by default it asks the server itself.
 */
export const assertResumes = Effect.fnUntraced(function* (
  failed: connector.Output,
  context = "",
  from: { readonly baseUrl?: string; readonly config?: object; readonly child?: ChildOptions } = {}
) {
  const { expected, server } = yield* Source
  const { baseUrl = server.baseUrl, ...options } = from
  assertStatesInOrder(failed, context)
  const states = lastStates(failed)
  const cursors = new Map(
    states.map(({ stream }) => [stream.stream_descriptor.name, Date.parse(String(stream.stream_state.time))])
  )
  const isConfirmed = (key: string): boolean => {
    const [labels, time] = JSON.parse(key) as readonly [ReadonlyArray<readonly [string, string]>, number]
    const name = labels.find(([label]) => label === "__name__")![1]
    return time <= (cursors.get(name) ?? Number.NEGATIVE_INFINITY)
  }
  const before = connector.byKey(failed.records)
  const { missing: _, ...wrong } = difference(before, expected)
  assert.deepStrictEqual(wrong, { surplus: [], different: [] }, context)
  const part = (keep: (key: string) => boolean, of: ReadonlyMap<string, string>) =>
    new Map([...of].filter(([key]) => keep(key)))
  assertSame(part(isConfirmed, before), part(isConfirmed, expected), `${context}: confirmed`)

  const rest = yield* readFrom(baseUrl, { ...options, state: states })
  assert.deepStrictEqual(rest.errors, [], context)
  assert.deepStrictEqual([rest.code, rest.stderr], [0, ""], context)
  assertSame(
    connector.byKey(rest.records),
    part((key) => !isConfirmed(key), expected),
    `${context}: the rest`
  )
  return rest
})
