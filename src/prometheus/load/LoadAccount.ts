/** What has been spent of a load budget, measured as time: if two requests per second are allowed, each costs half a second. */
import { Context, Effect } from "effect"
import { preciseMillis } from "./preciseMillis.ts"

/** What a request costs, in milliseconds of the budget. A negative amount is given back. */
export interface Charge {
  readonly requestMillis: number
  readonly sampleMillis: number
  /** Whether the request has waited for its samples: it must not wait again for samples that were booked later. */
  readonly hasWaited?: boolean
}

/** How a charge was booked. */
export interface Booking {
  /** Whether the request was booked. If not, it has to wait for its samples before it gets its place among the requests. */
  readonly isBooked: boolean
  readonly waitMillis: number
}

/**
 * Where a budget is kept. Requests are paid for after they were sent: one may be sent as soon as those before it are paid for.
 * Samples are paid for in advance, as far as their number is expected, and otherwise before the next request.
 */
export interface LoadAccount {
  readonly book: (charge: Charge) => Effect.Effect<Booking>
}

/** Unused time that can be spent later. It makes up for timers that are late, and no burst is larger. */
export const REQUEST_CREDIT_MILLIS = 100
export const SAMPLE_CREDIT_MILLIS = 1000

/** Until when the charges of an account are paid for. */
export interface Balance {
  readonly requestsUntil: number
  readonly samplesUntil: number
}

/** The balance after a charge. */
export const charged = (
  { requestsUntil, samplesUntil }: Balance,
  { hasWaited = false, requestMillis, sampleMillis }: Charge,
  nowMillis: number
): Balance & Booking => {
  const samples = Math.max(samplesUntil, nowMillis - SAMPLE_CREDIT_MILLIS) + sampleMillis
  if (samples > nowMillis && !hasWaited) {
    return { requestsUntil, samplesUntil: samples, isBooked: false, waitMillis: samples - nowMillis }
  }
  const requests = Math.max(requestsUntil, nowMillis - REQUEST_CREDIT_MILLIS)
  return {
    requestsUntil: requests + requestMillis,
    samplesUntil: samples,
    isBooked: true,
    waitMillis: Math.max(0, requests - nowMillis)
  }
}

/** An account of this process. There is no credit at the beginning: the average of the first seconds counts too. */
export const makeMemoryAccount: Effect.Effect<LoadAccount> = Effect.map(preciseMillis, (begun) => {
  let balance: Balance = { requestsUntil: begun, samplesUntil: begun }
  return {
    book: (charge) =>
      Effect.map(preciseMillis, (now) => {
        const { isBooked, waitMillis, ...after } = charged(balance, charge, now)
        balance = after
        return { isBooked, waitMillis }
      })
  }
})

/** The account that the processes of a sync share. Undefined: this process has its own. */
export const SharedLoadAccount = Context.Reference<LoadAccount | undefined>(
  "source-prometheus/prometheus/load/SharedLoadAccount",
  { defaultValue: () => undefined }
)
