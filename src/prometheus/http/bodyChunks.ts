/** The body of a response, in as few steps of a stream as possible. */
import { finished, type Readable } from "node:stream"
import { Array as Arr, Cause, Clock, Effect, type Pull, Stream } from "effect"
import type { PrometheusError } from "../PrometheusError.ts"

/** Bytes that are buffered ahead of the reader; above that the body is paused. */
const AHEAD_BYTES = 256 * 1024

/** The least that a body must bring in a second of waiting for it. No link in use is that slow; one that drips is a trap, or broken. */
const LEAST_BYTES_PER_SECOND = 100

/** What a failure means, and how long to wait. */
export interface BodyOptions {
  readonly onError: (error: unknown) => PrometheusError
  /** How long to wait for more, and after how much waiting the rate is looked at. */
  readonly timeoutMillis: number
  /** Nothing came for that long. */
  readonly onSilence: () => PrometheusError
  /** Something came, but less than the least rate. */
  readonly onDrip: () => PrometheusError
}

type ChunkPull = Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, PrometheusError>

/**
 * Reads a body to its end. What arrives while the reader is busy, or in one turn of Node's event loop, comes together:
 * a step of a stream costs as much as decoding 64 KiB, and a read has a dozen steps. A body that breaks off fails
 * after all that came before it, and so does one that comes too slowly. Only the time counts that is spent waiting: a reader that is
 * busy, and pauses the body meanwhile, never finds it too slow.
 */
export const bodyChunks = (
  body: () => Readable,
  { onDrip, onError, onSilence, timeoutMillis }: BodyOptions
): Stream.Stream<Uint8Array, PrometheusError> =>
  Stream.fromPull(
    Effect.gen(function* () {
      const arrivals = yield* Effect.acquireRelease(
        Effect.sync(() => new Arrivals(body())),
        (arrivals) => Effect.sync(() => arrivals.close())
      )
      const wait = Effect.callback<void>((resume) => {
        arrivals.onReady = () => resume(Effect.void)
        return Effect.sync(() => {
          arrivals.onReady = undefined
        })
      }).pipe(
        Effect.timeoutOrElse({
          duration: timeoutMillis,
          orElse: () => Effect.suspend(() => Effect.fail(onSilence()))
        })
      )
      const leastBytes = (timeoutMillis / 1000) * LEAST_BYTES_PER_SECOND
      const timeoutNanos = BigInt(Math.round(timeoutMillis * 1e6))
      const clock = yield* Clock.Clock
      let waitedNanos = 0n
      let receivedBefore = 0
      const isDripping = (): boolean => {
        if (waitedNanos < timeoutNanos || arrivals.hasEnded) return false
        if (arrivals.received - receivedBefore < leastBytes) return true
        waitedNanos = 0n
        receivedBefore = arrivals.received
        return false
      }
      /** Waits, and looks at the rate each time that the patience is used up. */
      const patientWait = Effect.suspend(() => {
        const begunAt = clock.monotonicTimeNanosUnsafe()
        return Effect.flatMap(wait, () => {
          waitedNanos += clock.monotonicTimeNanosUnsafe() - begunAt
          return isDripping() ? Effect.fail(onDrip()) : Effect.void
        })
      })
      const take = Effect.suspend((): ChunkPull => {
        const chunks = arrivals.take()
        if (Arr.isArrayNonEmpty(chunks)) return Effect.succeed(chunks)
        return arrivals.error === undefined ? Cause.done() : Effect.fail(onError(arrivals.error))
      })
      const waitAndTake = Effect.andThen(patientWait, take)
      return Effect.suspend(() => (arrivals.isReady ? take : waitAndTake))
    })
  ).pipe(Stream.scoped)

/** Chunks that have come and have not been taken. */
class Arrivals {
  private chunks: Array<Uint8Array> = []
  private bytes = 0
  /** Bytes that have come in all. */
  received = 0
  hasEnded = false
  error: unknown
  /** Called once, when it is ready. */
  onReady: (() => void) | undefined
  private turn: NodeJS.Immediate | undefined
  private readonly body: Readable

  constructor(body: Readable) {
    this.body = body
    finished(body, (error) => {
      this.error = error ?? undefined
      this.hasEnded = true
      this.wake()
    })
    body.on("data", this.onData)
  }

  /** Whether there is something to take, or nothing more to come. */
  get isReady(): boolean {
    return this.chunks.length > 0 || this.hasEnded
  }

  take(): Array<Uint8Array> {
    const { chunks } = this
    this.chunks = []
    this.bytes = 0
    if (!this.hasEnded) this.body.resume()
    return chunks
  }

  close(): void {
    clearImmediate(this.turn)
    this.body.off("data", this.onData)
    this.body.destroy()
  }

  private readonly onData = (chunk: Uint8Array): void => {
    this.chunks.push(chunk)
    this.bytes += chunk.length
    this.received += chunk.length
    if (this.bytes >= AHEAD_BYTES) {
      this.body.pause()
      this.wake()
    } else if (this.turn === undefined) {
      this.turn = setImmediate(() => {
        this.turn = undefined
        this.wake()
      })
    }
  }

  private wake(): void {
    // What a turn was to end with may have been taken in it already.
    if (!this.isReady) return
    const { onReady } = this
    this.onReady = undefined
    onReady?.()
  }
}
