/**
 * Keeps the requests of a client within the load budget: the most requests and samples per second.
 *
 * Effect's `RateLimiter` does not serve: it takes tokens when they are asked for, and has no way to give back those of a request
 * that was interrupted while it waited, or that returned fewer samples than expected.
 */
import { Effect, Exit, Semaphore } from "effect"
import type { Settings } from "../../config/ConnectorConfig.ts"
import { durationText } from "../../text/figures.ts"
import type { Charge, LoadAccount } from "./LoadAccount.ts"
import { CurrentLoadMeter } from "./LoadMeter.ts"
import { uncounted } from "./serverTimeout.ts"

/** The samples that one response is expected to have, and those that it had. */
export class ExpectedSamples {
  /** The length of the range. */
  readonly length: number
  readonly expected: number
  /** Whether the expected ones are booked. */
  isBooked = false
  /** Whether the server has sent a response, and whether that was read to its end. */
  hasResponse = false
  isComplete = false
  /** Whether those that arrived were charged. */
  isSettled = false
  arrived = 0

  constructor(length: number, expected: number) {
    this.length = length
    this.expected = expected
  }

  /** The samples that count. The server has made the rest of a response that broke off too. */
  get counted(): number {
    return this.hasResponse && !this.isComplete ? Math.max(this.arrived, this.expected) : this.arrived
  }
}

/** The budget of a client. */
export interface LoadBudget {
  /**
   * Waits until a request may be sent. Requests wait in the order in which they came. If one is interrupted while it waits, its
   * turn is given back.
   */
  readonly admit: (samples?: ExpectedSamples) => Effect.Effect<void>
  /** A response has ended, or was refused. The next requests wait for the samples that were not expected. */
  readonly settle: (samples: ExpectedSamples) => Effect.Effect<void>
}

/** The limits of a budget. Undefined: no limit. */
export type LoadLimits = Pick<Settings, "maxRequestsPerSecond" | "maxSamplesPerSecond">

const unlimited: LoadBudget = { admit: () => Effect.void, settle: () => Effect.void }

/** Only books what is not booked yet. */
const nothing: Charge = { requestMillis: 0, sampleMillis: 0, hasWaited: true }

/** How long the end of a request waits for the account. */
const GIVE_BACK_MILLIS = 500

/** A wait that a person notices, at once or in all. */
const LONG_WAIT_MILLIS = 2000
const LONG_WAITS_MILLIS = 5000

export const makeLoadBudget = Effect.fnUntraced(function* (
  limits: LoadLimits,
  account: LoadAccount
): Effect.fn.Return<LoadBudget> {
  const { maxRequestsPerSecond, maxSamplesPerSecond } = limits
  if (maxRequestsPerSecond === undefined && maxSamplesPerSecond === undefined) return unlimited
  const requestMillis = maxRequestsPerSecond === undefined ? 0 : 1000 / maxRequestsPerSecond
  const millisPerSample = maxSamplesPerSecond === undefined ? 0 : 1000 / maxSamplesPerSecond
  const turns = yield* Semaphore.make(1)
  /** Samples that are not booked yet. Negative if fewer arrived than expected. */
  let unbooked = 0
  let waitedMillis = 0
  let hasSaid = false

  /** The samples are booked once, and stay to be booked if the account cannot be reached. */
  const book = (charge: Charge) =>
    Effect.suspend(() => {
      const samples = unbooked
      unbooked -= samples
      return Effect.onExit(
        account.book({ ...charge, sampleMillis: charge.sampleMillis + samples * millisPerSample }),
        (exit) =>
          Effect.sync(() => {
            if (Exit.isFailure(exit)) unbooked += samples
          })
      )
    })

  /** For the end of a request: an account that is away must not hold it up. */
  const bookSoon = (charge: Charge) =>
    Effect.timeoutOption(Effect.interruptible(book(charge)), GIVE_BACK_MILLIS)

  const say = (waitMillis: number) =>
    Effect.suspend(() => {
      waitedMillis += waitMillis
      if (hasSaid || (waitMillis < LONG_WAIT_MILLIS && waitedMillis < LONG_WAITS_MILLIS)) return Effect.void
      hasSaid = true
      return Effect.logInfo(
        `Requests are waiting for the load budget (${limitsText(limits)}), the next one for ${durationText(waitMillis / 1000)}. This message appears only once.`
      )
    })

  const wait = (waitMillis: number) =>
    waitMillis <= 0 ? Effect.void : Effect.andThen(say(waitMillis), Effect.sleep(Math.ceil(waitMillis)))

  const turn = Effect.fnUntraced(function* (samples: ExpectedSamples | undefined) {
    const expected = samples === undefined || samples.isBooked ? 0 : samples.expected
    let booking = yield* book({ requestMillis, sampleMillis: expected * millisPerSample })
    if (samples !== undefined) samples.isBooked = true
    if (!booking.isBooked) {
      yield* wait(booking.waitMillis)
      booking = yield* book({ requestMillis, sampleMillis: 0, hasWaited: true })
    }
    yield* Effect.onInterrupt(wait(booking.waitMillis), () =>
      bookSoon({ requestMillis: -requestMillis, sampleMillis: 0, hasWaited: true })
    )
  })

  return {
    admit: (samples) =>
      Effect.flatMap(CurrentLoadMeter, (meter) =>
        Effect.acquireUseRelease(
          Effect.sync(() => void meter.waiting++),
          // Only the first in line books. What arrives meanwhile delays all others.
          () => turns.withPermit(turn(samples)),
          () => Effect.sync(() => void meter.waiting--)
        )
      ).pipe(uncounted),
    settle: (samples) =>
      Effect.suspend(() => {
        if (millisPerSample === 0) return Effect.void
        unbooked += samples.counted - (samples.isBooked ? samples.expected : 0)
        return unbooked === 0 ? Effect.void : Effect.asVoid(bookSoon(nothing))
      })
  }
})

const limitsText = ({ maxRequestsPerSecond, maxSamplesPerSecond }: LoadLimits): string =>
  [
    ...(maxRequestsPerSecond === undefined ? [] : [`max_requests_per_second is ${maxRequestsPerSecond}`]),
    ...(maxSamplesPerSecond === undefined ? [] : [`max_samples_per_second is ${maxSamplesPerSecond}`])
  ].join(", ")
