/** The load budget on a test clock: never too fast, in turn, and without loss if a request is interrupted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import {
  type Balance,
  charged,
  type LoadAccount,
  makeMemoryAccount,
  REQUEST_CREDIT_MILLIS,
  SAMPLE_CREDIT_MILLIS
} from "../../../src/prometheus/load/LoadAccount.ts"
import {
  ExpectedSamples,
  type LoadBudget,
  type LoadLimits,
  makeLoadBudget
} from "../../../src/prometheus/load/LoadBudget.ts"
import { CurrentLoadMeter, LoadMeter } from "../../../src/prometheus/load/LoadMeter.ts"
import { preciseMillis } from "../../../src/prometheus/load/preciseMillis.ts"
import { type Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"

const limits = (maxRequestsPerSecond?: number, maxSamplesPerSecond?: number): LoadLimits => ({
  maxRequestsPerSecond,
  maxSamplesPerSecond
})

const budgetOf = (given: LoadLimits) =>
  Effect.flatMap(makeMemoryAccount, (account) => makeLoadBudget(given, account))

/** A request that was sent, with the samples of its response. */
interface Sent {
  readonly id: number
  readonly millis: number
  readonly expected: number
  readonly arrived: number
}

interface Wanted {
  readonly afterMillis: number
  readonly expected: number
  readonly arrived: number
  readonly takesMillis: number
}

/** Sends requests, some of them at the same time. Returns them in the order in which they were sent. */
const sendAll = Effect.fnUntraced(function* (budget: LoadBudget, wanted: ReadonlyArray<Wanted>) {
  const sent: Array<Sent> = []
  const fiber = yield* Effect.forkChild(
    Effect.forEach(
      wanted,
      Effect.fnUntraced(function* ({ afterMillis, arrived, expected, takesMillis }, id) {
        yield* Effect.sleep(afterMillis)
        const samples = new ExpectedSamples(1, expected)
        yield* budget.admit(samples)
        sent.push({ id, millis: yield* preciseMillis, expected, arrived })
        yield* Effect.sleep(takesMillis)
        samples.arrived = arrived
        samples.isComplete = true
        yield* budget.settle(samples)
      }),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.andThen(budget.admit()), Effect.andThen(preciseMillis))
  )
  yield* TestClock.adjust("1000 days")
  return { sent, endMillis: yield* Fiber.join(fiber) }
})

const wantedOf = (choices: Choices): ReadonlyArray<Wanted> =>
  Array.from({ length: choices.between(1, 40) }, () => {
    const expected = choices.pick([0, 1, 100, 1000, 5000])
    return {
      afterMillis: choices.pick([0, 0, 0, 1, 50, 200, 3000, 20_000]),
      expected,
      arrived: choices.oneIn(2) ? expected : choices.pick([0, 1, 100, 1000, 20_000]),
      takesMillis: choices.pick([0, 1, 100, 5000])
    }
  })

const limitsOf = (choices: Choices): LoadLimits =>
  choices.oneIn(3)
    ? limits(choices.pick([0.1, 1, 7, 40, 2500]))
    : limits(choices.oneIn(2) ? choices.pick([0.5, 10, 1000]) : undefined, choices.pick([10, 333, 1000, 1e6]))

describe("LoadBudget", () => {
  it.effect.prop(
    "sends no more requests in any interval, and returns no more samples in all",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const given = limitsOf(choices)
        const { maxRequestsPerSecond: requests = 1e9, maxSamplesPerSecond: perSecond = 1e12 } = given
        const budget = yield* budgetOf(given)
        const begun = yield* preciseMillis
        const { endMillis, sent } = yield* sendAll(budget, wantedOf(choices))
        for (let i = 0; i < sent.length; i++) {
          for (let j = i; j < sent.length; j++) {
            const millis = sent[j]!.millis - sent[i]!.millis
            const most = (requests * (millis + REQUEST_CREDIT_MILLIS)) / 1000 + 1
            assert.isAtMost(j - i + 1, most + 1e-6, `${i} to ${j} in ${millis} ms`)
          }
        }
        const samples = sent.reduce((sum, { arrived }) => sum + arrived, 0)
        assert.isAtMost(samples, (perSecond * (endMillis - begun)) / 1000 + 1e-3)
      }),
    { arbitrary: { runs: runs(50, 300) } }
  )

  it.effect.prop(
    "has no larger bursts of expected samples than those of a second and one response",
    { choices },
    ({ choices }) =>
      Effect.gen(function* () {
        const perSecond = choices.pick([10, 333, 1000])
        const wanted = wantedOf(choices).map((one) => ({ ...one, arrived: one.expected }))
        const { sent } = yield* sendAll(yield* budgetOf(limits(undefined, perSecond)), wanted)
        for (let i = 0; i < sent.length; i++) {
          let samples = 0
          for (let j = i + 1; j < sent.length; j++) {
            samples += sent[j]!.expected
            const millis = sent[j]!.millis - sent[i]!.millis
            assert.isAtMost(samples, (perSecond * (millis + SAMPLE_CREDIT_MILLIS)) / 1000 + 1e-6)
          }
        }
      }),
    { arbitrary: { runs: runs(50, 300) } }
  )

  it.effect("spends all of it if there is enough to do", () =>
    Effect.gen(function* () {
      const begun = yield* preciseMillis
      const wanted = Array.from({ length: 101 }, () => ({
        afterMillis: 0,
        expected: 0,
        arrived: 0,
        takesMillis: 10
      }))
      const { sent } = yield* sendAll(yield* budgetOf(limits(4)), wanted)
      assert.strictEqual(sent.at(-1)!.millis - begun, 25_000)
    })
  )

  it.effect("sends in the order in which requests came", () =>
    Effect.gen(function* () {
      const wanted = Array.from({ length: 30 }, (_, id) => ({
        afterMillis: id,
        expected: (id * 7919) % 50,
        arrived: 10,
        takesMillis: 1
      }))
      const { sent } = yield* sendAll(yield* budgetOf(limits(10, 100)), wanted)
      assert.deepStrictEqual(
        sent.map(({ id }) => id),
        wanted.map((_, id) => id)
      )
    })
  )

  it.effect("gives the turns of interrupted requests back, and those of their samples", () =>
    Effect.gen(function* () {
      const budget = yield* budgetOf(limits(0.1, 10))
      yield* budget.admit()
      const waiting: Array<Fiber.Fiber<void>> = []
      for (let i = 0; i < 5; i++) {
        const samples = new ExpectedSamples(1, 1000)
        waiting.push(yield* Effect.forkChild(Effect.ensuring(budget.admit(samples), budget.settle(samples))))
      }
      yield* TestClock.adjust("1 second")
      yield* Fiber.interruptAll(waiting)
      const begun = yield* preciseMillis
      const next = yield* Effect.forkChild(Effect.andThen(budget.admit(), preciseMillis))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.join(next)) - begun, 9000)
    })
  )

  it.effect("charges what a response that broke off was expected to have, and nothing for a refusal", () =>
    Effect.gen(function* () {
      const booked: Array<number> = []
      const account: LoadAccount = {
        book: ({ sampleMillis }) =>
          Effect.sync(() => {
            booked.push(sampleMillis)
            return { isBooked: true, waitMillis: 0 }
          })
      }
      const budget = yield* makeLoadBudget(limits(undefined, 1000), account)
      const broken = new ExpectedSamples(1, 500)
      yield* budget.admit(broken)
      broken.hasResponse = true
      broken.arrived = 20
      yield* budget.settle(broken)
      const refused = new ExpectedSamples(1, 300)
      yield* budget.admit(refused)
      yield* budget.settle(refused)
      assert.deepStrictEqual(booked, [500, 300, -300])
    })
  )

  it.effect("does not lose samples while the account cannot be reached, and does not wait long for it", () =>
    Effect.gen(function* () {
      const booked: Array<readonly [requestMillis: number, sampleMillis: number]> = []
      let isAway = false
      const account: LoadAccount = {
        book: ({ requestMillis, sampleMillis }) =>
          Effect.suspend(() => {
            if (isAway) return Effect.never
            booked.push([requestMillis, sampleMillis])
            return Effect.succeed({ isBooked: true, waitMillis: 60_000 })
          })
      }
      const budget = yield* makeLoadBudget(limits(1, 1000), account)
      const ended = Effect.fnUntraced(function* (effect: Effect.Effect<unknown>) {
        const fiber = yield* Effect.forkChild(Effect.uninterruptible(effect), { startImmediately: true })
        yield* TestClock.adjust(500)
        assert.isDefined(fiber.pollUnsafe())
      })
      const read = new ExpectedSamples(1, 0)
      read.arrived = 700
      const interrupted = new ExpectedSamples(1, 300)
      const waiting = yield* Effect.forkChild(budget.admit(), { startImmediately: true })
      isAway = true
      yield* ended(budget.settle(read))
      // Its place cannot be given back.
      yield* ended(Fiber.interrupt(waiting))
      const other = yield* Effect.forkChild(budget.admit(interrupted), { startImmediately: true })
      yield* Fiber.interrupt(other)
      yield* ended(budget.settle(interrupted))
      isAway = false
      yield* budget.settle(new ExpectedSamples(1, 0))
      assert.deepStrictEqual(booked, [
        [1000, 0],
        [0, 700]
      ])
    })
  )

  it.effect("says once that requests wait, and counts those that do", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const meter = new LoadMeter()
      const budget = yield* budgetOf(limits(0.25))
      const fiber = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3, 4], () => budget.admit(), { concurrency: "unbounded" }).pipe(
          Effect.provideService(CurrentLoadMeter, meter),
          Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]))
        )
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(meter.waiting, 3)
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      assert.strictEqual(meter.waiting, 0)
      assert.deepStrictEqual(lines, [
        "Requests are waiting for the load budget (max_requests_per_second is 0.25), the next one for 4.0 s. This message appears only once."
      ])
    })
  )

  it.effect("costs nothing without limits", () =>
    Effect.gen(function* () {
      const never: LoadAccount = { book: () => Effect.die("booked") }
      const budget = yield* makeLoadBudget(limits(), never)
      const samples = new ExpectedSamples(1, 1e9)
      yield* budget.admit(samples)
      yield* budget.settle(samples)
    })
  )
})

describe("charged", () => {
  it("keeps no more credit than that of a moment", () => {
    const old: Balance = { requestsUntil: 0, samplesUntil: 0 }
    const unpaid = charged(old, { requestMillis: 50, sampleMillis: 3000 }, 1e9)
    assert.deepStrictEqual(unpaid, {
      requestsUntil: 0,
      samplesUntil: 1e9 - SAMPLE_CREDIT_MILLIS + 3000,
      isBooked: false,
      waitMillis: 2000
    })
    const paid = charged(old, { requestMillis: 50, sampleMillis: 0 }, 1e9)
    assert.deepStrictEqual(paid, {
      requestsUntil: 1e9 - REQUEST_CREDIT_MILLIS + 50,
      samplesUntil: 1e9 - SAMPLE_CREDIT_MILLIS,
      isBooked: true,
      waitMillis: 0
    })
  })
})
