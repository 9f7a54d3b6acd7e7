/** Runs whose parts others read: the queue is in this process, and everything else is as it is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Semaphore } from "effect"
import { type PartDone, PartFailed, PartQueue } from "../../src/cluster/PartQueue.ts"
import { Progress } from "../../src/run/Progress.ts"
import { runOnCluster } from "../../src/run/runOnCluster.ts"
import { executePart } from "../../src/run/writeParts.ts"
import type { SyncPart } from "../../src/sync/parts.ts"
import * as sources from "../../src/sync/sources.ts"
import { gauge, minute, start } from "../support/gauge.ts"
import { MemoryParts } from "../support/MemoryParts.ts"
import { drive, type Setting, setUp } from "../sync/readMock.ts"

const noProgress = Layer.succeed(Progress, {
  begin: () => Effect.void,
  started: () => Effect.void,
  wrote: () => Effect.void,
  committed: () => Effect.void,
  retrying: () => Effect.void,
  ended: () => Effect.void
})

/** A queue of one worker that reads the parts in their order. Returns what was submitted, too. */
const queueOf = (execute: (part: SyncPart) => Effect.Effect<PartDone, PartFailed>) => {
  const submitted: Array<SyncPart> = []
  const permits = Semaphore.makeUnsafe(1)
  const layer = Layer.succeed(PartQueue, {
    submit: (part, { isWanted = () => true, onStart = Effect.void } = {}) =>
      permits.withPermit(
        Effect.suspend(() => {
          if (!isWanted()) return Effect.undefined
          submitted.push(part)
          return Effect.andThen(onStart, execute(part))
        })
      ),
    workers: Effect.succeed({ count: 1, slots: 1 }),
    lost: Effect.never,
    end: Effect.void
  })
  return { layer, submitted }
}

const series = [...gauge("a", 95, 3), ...gauge("b", 95), ...gauge("c", 95, 2)]
const setting: Setting = { series, points: 95 }

/** One run with slots of ten minutes. The parts for which `refusal` has a text fail with it. */
const runWith = Effect.fnUntraced(function* (
  memory: MemoryParts,
  refusal: (part: SyncPart) => string | undefined = () => undefined,
  given: Setting = setting
) {
  const { services } = yield* setUp(given)
  const execute = (part: SyncPart) => {
    const message = refusal(part)
    return message === undefined
      ? executePart(part).pipe(
          Effect.provide([sources.layer, memory.layer()]),
          Effect.provide(services),
          Effect.orDie
        )
      : Effect.fail(new PartFailed({ message, isTransient: false, isFatal: false }))
  }
  const queue = queueOf(execute)
  const summary = yield* drive(
    runOnCluster({
      source: "a mock",
      destination: "memory:x",
      isStepGiven: true,
      mask: (text) => text.replaceAll("secret", "***"),
      lengthMillis: 10 * minute
    })
  ).pipe(Effect.provide([queue.layer, memory.layer(), noProgress]), Effect.provide(services))
  return { summary, submitted: queue.submitted }
})

describe("a run on a cluster", () => {
  it.effect("sums up what the workers have read", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const { submitted, summary } = yield* runWith(memory)
      assert.strictEqual(submitted.length, 3 * 10)
      // One part of each stream in turn, since commits to one stream wait for each other.
      assert.deepStrictEqual(
        submitted.slice(0, 6).map(({ range, stream }) => `${stream} ${range.firstMillis - start}`),
        [0, 10 * minute].flatMap((at) => ["a", "b", "c"].map((stream) => `${stream} ${at}`))
      )
      assert.strictEqual(summary.rows, 95 * 6)
      assert.deepStrictEqual(
        summary.streams.map(({ error, name, rows, series }) => [name, series, rows, error]),
        [
          ["a", 3, 285, undefined],
          ["b", 1, 95, undefined],
          ["c", 2, 190, undefined]
        ]
      )
      const again = yield* runWith(memory)
      assert.deepStrictEqual([again.submitted.length, again.summary.rows], [0, 0])
    })
  )

  it.effect("is refused with the server's own tables, before anything is submitted", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const exit = yield* Effect.exit(
        runWith(memory, undefined, { ...setting, config: { tables: ["rules", "targets"] } })
      )
      assert.match(
        Exit.isFailure(exit) ? JSON.stringify(exit.cause) : "",
        /One process reads the server's own tables \(rules, targets\), and this run is divided among several\. Remove tables \(--table\)/
      )
      assert.isEmpty(memory.commits)
    })
  )

  it.effect("submits no part of a stream that has failed, and all of the other ones", () =>
    Effect.gen(function* () {
      const memory = new MemoryParts()
      const { submitted, summary } = yield* runWith(memory, ({ range, stream }) =>
        stream === "b" && memory.rows.has("b") ? `No ${stream} at ${range.firstMillis}, secret.` : undefined
      )
      const count = (stream: string) => submitted.filter((part) => part.stream === stream).length
      assert.deepStrictEqual(["a", "b", "c"].map(count), [10, 2, 10])
      const [a, b, c] = summary.streams
      assert.deepStrictEqual([a?.rows, b?.rows, c?.rows], [285, 10, 190])
      assert.match(b?.error ?? "", /^No b at \d+, \*\*\*\.$/)
      const again = yield* runWith(memory)
      assert.deepStrictEqual([again.submitted.length, again.summary.rows], [9, 85])
    })
  )
})
