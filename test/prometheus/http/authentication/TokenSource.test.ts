import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Logger, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  makeTokenSource,
  type Token,
  type TokenSource
} from "../../../../src/prometheus/http/authentication/TokenSource.ts"
import { PrometheusError } from "../../../../src/prometheus/PrometheusError.ts"
import { runs } from "../../../support/runs.ts"

const MINUTE = 60_000

const problem = new PrometheusError({ reason: "Unreachable", summary: "It is away." })

/** A server that gives out numbered tokens, and fails or hangs if a test wants that. */
class Server {
  fetches = 0
  running = 0
  lifeMillis: number | undefined = 60 * MINUTE
  isAway = false
  /** How long a fetch takes. */
  delayMillis = 0

  readonly fetch: Effect.Effect<Token, PrometheusError> = Effect.gen({ self: this }, function* () {
    const number = ++this.fetches
    this.running++
    const { delayMillis, isAway, lifeMillis } = this
    const now = yield* Clock.currentTimeMillis
    if (delayMillis > 0) yield* Effect.sleep(delayMillis)
    if (isAway) return yield* problem
    return {
      value: `token-${number}`,
      expiresAtMillis: lifeMillis === undefined ? undefined : now + lifeMillis
    }
  }).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        this.running--
      })
    )
  )
}

const setUp = () => {
  const server = new Server()
  return { server, source: makeTokenSource(server.fetch) }
}

const eight = Array.from({ length: 8 }, (_, i) => i)

describe("a token", () => {
  it.effect("is fetched once for requests at the same time, and used by later ones", () =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      server.delayMillis = 10
      const fibers = yield* Effect.forEach(eight, () => Effect.forkChild(source.token))
      yield* TestClock.adjust(10)
      const tokens = yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(new Set(tokens), new Set(["token-1"]))
      assert.strictEqual(yield* source.token, "token-1")
      assert.strictEqual(server.fetches, 1)
    })
  )

  it.effect.each<readonly [number, number]>([
    [60 * MINUTE, 59 * MINUTE],
    [4 * MINUTE, 3 * MINUTE],
    [MINUTE, 45_000],
    [1000, 750]
  ])("of %i ms is renewed after %i ms", ([lifeMillis, renewedAfterMillis]) =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      server.lifeMillis = lifeMillis
      assert.strictEqual(yield* source.token, "token-1")
      yield* TestClock.adjust(renewedAfterMillis - 1)
      assert.strictEqual(yield* source.token, "token-1")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* source.token, "token-2")
      assert.strictEqual(server.fetches, 2)
    })
  )

  it.effect("without an end is used until it is refused", () =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      server.lifeMillis = undefined
      yield* source.token
      yield* TestClock.adjust(1e12)
      assert.strictEqual(yield* source.token, "token-1")
      assert.isTrue(yield* source.renew("token-1"))
      assert.strictEqual(yield* source.token, "token-2")
    })
  )

  it.effect("that was refused is fetched once for requests at the same time", () =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      yield* source.token
      server.delayMillis = 10
      const fibers = yield* Effect.forEach(eight, () => Effect.forkChild(source.renew("token-1")))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(new Set(yield* Fiber.joinAll(fibers)), new Set([true]))
      // One that was sent with the old token, too.
      assert.isTrue(yield* source.renew("token-1"))
      assert.strictEqual(server.fetches, 2)
    })
  )

  it.effect("that was refused is not sent again, even if no other could be fetched", () =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      yield* source.token
      server.isAway = true
      assert.strictEqual(yield* Effect.flip(source.renew("token-1")), problem)
      assert.strictEqual(yield* Effect.flip(source.token), problem)
      server.isAway = false
      assert.strictEqual(yield* source.token, "token-4")
    })
  )
})

describe("a failure", () => {
  it.effect("is shared by requests at the same time, and not kept", () =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      server.isAway = true
      server.delayMillis = 10
      const fibers = yield* Effect.forEach(eight, () => Effect.forkChild(Effect.flip(source.token)))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(new Set(yield* Fiber.joinAll(fibers)), new Set([problem]))
      assert.strictEqual(server.fetches, 1)
      server.isAway = false
      server.delayMillis = 0
      assert.strictEqual(yield* source.token, "token-2")
    })
  )

  it.effect("to renew a token that is still valid is a warning, and tried again after a pause", () =>
    Effect.gen(function* () {
      const logs: Array<unknown> = []
      yield* Effect.gen(function* () {
        const { server, source } = setUp()
        yield* source.token
        yield* TestClock.adjust(59 * MINUTE)
        server.isAway = true
        for (const _ of eight) assert.strictEqual(yield* source.token, "token-1")
        assert.strictEqual(server.fetches, 2)
        assert.deepStrictEqual(logs, [["It is away. The current token is used until it expires in 60 s."]])
        yield* TestClock.adjust(10_000)
        assert.strictEqual(yield* source.token, "token-1")
        assert.strictEqual(server.fetches, 3)
        yield* TestClock.adjust(50_000)
        assert.strictEqual(yield* Effect.flip(source.token), problem)
      }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void logs.push(message))])))
    })
  )

  it.effect("to respond soon does not hold up requests while the token is valid", () =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      yield* source.token
      yield* TestClock.adjust(59 * MINUTE)
      server.delayMillis = 30_000
      const fiber = yield* Effect.forkChild(source.token, { startImmediately: true })
      yield* TestClock.adjust(4999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "token-1")
      assert.strictEqual(yield* source.token, "token-1")
      assert.strictEqual(server.fetches, 2)
      // When it has expired, it must be waited for.
      yield* TestClock.adjust(55_000)
      const last = yield* Effect.forkChild(source.token, { startImmediately: true })
      yield* TestClock.adjust(30_000)
      assert.strictEqual(yield* Fiber.join(last), "token-3")
    })
  )
})

describe("an interrupted request", () => {
  it.effect("leaves the fetch to the others", () =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      server.delayMillis = 10
      const first = yield* Effect.forkChild(source.token, { startImmediately: true })
      const second = yield* Effect.forkChild(source.token, { startImmediately: true })
      yield* TestClock.adjust(5)
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust(5)
      assert.strictEqual(yield* Fiber.join(second), "token-1")
      assert.strictEqual(server.fetches, 1)
    })
  )

  it.effect("ends the fetch if it was the last, and the next request fetches anew", () =>
    Effect.gen(function* () {
      const { server, source } = setUp()
      server.delayMillis = 10
      const fibers = yield* Effect.forEach(eight, () =>
        Effect.forkChild(source.token, { startImmediately: true })
      )
      yield* TestClock.adjust(5)
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual(server.running, 0)
      server.delayMillis = 0
      assert.strictEqual(yield* source.token, "token-2")
    })
  )

  it.effect("can be followed by another while its fetch still ends", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      let fetches = 0
      const source = makeTokenSource(
        Effect.suspend(() =>
          ++fetches === 1
            ? Effect.never.pipe(Effect.onInterrupt(() => Deferred.await(gate)))
            : Effect.succeed({ value: "second", expiresAtMillis: undefined })
        )
      )
      const first = yield* Effect.forkChild(source.token, { startImmediately: true })
      const ending = yield* Effect.forkChild(Fiber.interrupt(first), { startImmediately: true })
      assert.strictEqual(yield* source.token, "second")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(ending)
    })
  )
})

// ---- a model -------------------------------------------------------------------------------------------------

const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 90_000 }))

/** What happens to a source and its server. */
const Step = Schema.Union([
  Schema.Struct({ is: Schema.Literal("request") }),
  Schema.Struct({
    is: Schema.Literal("interrupt"),
    which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
  }),
  Schema.Struct({ is: Schema.Literal("refuse") }),
  Schema.Struct({ is: Schema.Literal("pass"), millis: Millis }),
  Schema.Struct({
    is: Schema.Literal("server"),
    isAway: Schema.Boolean,
    delayMillis: Schema.Literals([0, 1, 700, 20_000]),
    lifeMillis: Schema.Literals([1, 1000, 40_000, 600_000])
  })
])

interface Running {
  readonly fiber: Fiber.Fiber<string, PrometheusError>
  isInterrupted: boolean
}

/** Takes a step of the model. */
const take = Effect.fnUntraced(function* (
  step: typeof Step.Type,
  {
    requests,
    server,
    source
  }: {
    readonly server: Server
    readonly source: TokenSource
    readonly requests: Array<Running>
  }
) {
  switch (step.is) {
    case "request":
      requests.push({
        fiber: yield* Effect.forkChild(source.token, { startImmediately: true }),
        isInterrupted: false
      })
      return
    case "interrupt": {
      const request = requests.at(-1 - step.which)
      if (request === undefined || request.fiber.pollUnsafe() !== undefined) return
      request.isInterrupted = true
      return yield* Fiber.interrupt(request.fiber)
    }
    case "refuse": {
      const token = `token-${server.fetches}`
      const fiber = yield* Effect.forkChild(
        Effect.flatMap(source.renew(token), () => source.token),
        { startImmediately: true }
      )
      requests.push({ fiber, isInterrupted: false })
      return
    }
    case "pass":
      return yield* TestClock.adjust(step.millis)
    case "server":
      Object.assign(server, step)
  }
})

describe("any sequence of requests, interruptions and failures", () => {
  it.effect.prop(
    "fetches one token at a time, leaves no request waiting, and interrupts no other",
    { steps: Schema.Array(Step) },
    ({ steps }) =>
      Effect.gen(function* () {
        const { server, source } = setUp()
        const requests: Array<Running> = []
        for (const step of steps) {
          yield* take(step, { server, source, requests })
          assert.isAtMost(server.running, 1)
          // Without a request that waits, nothing is fetched.
          if (requests.every(({ fiber }) => fiber.pollUnsafe() !== undefined)) {
            assert.strictEqual(server.running, 0)
          }
        }
        yield* TestClock.adjust(100_000)
        for (const { fiber, isInterrupted } of requests) {
          const exit = fiber.pollUnsafe()
          assert.isDefined(exit)
          if (Exit.isFailure(exit!) && !isInterrupted) {
            assert.deepStrictEqual(
              exit.cause.reasons.map(({ _tag }) => _tag),
              ["Fail"]
            )
          }
        }
        // Nothing that failed is kept.
        Object.assign(server, { isAway: false, delayMillis: 0, lifeMillis: 600_000 })
        assert.match(yield* source.token, /^token-\d+$/)
        yield* TestClock.adjust(500_000)
        const { fetches } = server
        const later = yield* source.token
        assert.isAtMost(server.fetches - fetches, 1)
        assert.strictEqual(yield* source.token, later)
      }),
    { arbitrary: { runs: runs(50, 500) }, timeout: 60_000 }
  )
})
