/** Reads the body of a response in as few stream steps as possible. */
import { finished, type Readable } from "node:stream"
import { Array as Arr, Cause, Duration, Effect, type Pull, Stream } from "effect"
import type { PrometheusError } from "../PrometheusError.ts"

/** The body is paused when so many bytes wait for the reader. */
const AHEAD_BYTES = 256 * 1024

/** The minimum rate while the reader waits. No real link is slower: such a server is broken or hostile. */
const MIN_BYTES_PER_SECOND = 100

/** The errors, and how long to wait. */
export interface BodyOptions {
  readonly onError: (error: unknown) => PrometheusError
  /** Called with the numbers of bytes that arrive. */
  readonly onBytes?: (bytes: number) => void
  /** How long to wait for more bytes. The rate is checked after each such time of waiting. */
  readonly timeoutMillis: number
  /** Nothing arrived in that time. */
  readonly onSilence: () => PrometheusError
  /** Bytes arrived, but below the minimum rate. */
  readonly onDrip: () => PrometheusError
}

type ChunkPull = Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, PrometheusError>

/**
 * Reads a body to its end. All chunks that arrive while the reader is busy, or in one turn of Node's event loop, are one step
 * of the stream: a step costs as much as decoding 64 KiB, and a read has a dozen of them. If the body breaks off or is too
 * slow, the stream fails after all bytes that arrived. Only time spent waiting counts: a busy reader, which pauses the body,
 * never finds it too slow.
 */
export const bodyChunks = (
  body: () => Readable,
  { onBytes = () => {}, onDrip, onError, onSilence, timeoutMillis }: BodyOptions
): Stream.Stream<Uint8Array, PrometheusError> =>
  Stream.fromPull(
    Effect.gen(function* () {
      const arrivals = yield* Effect.acquireRelease(
        Effect.sync(() => new Arrivals(body(), onBytes)),
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
      const minBytes = (timeoutMillis / 1000) * MIN_BYTES_PER_SECOND
      let waitedMillis = 0
      let receivedBefore = 0
      /** Waits, and checks the rate after each timeout's worth of waiting. */
      const waitForBytes = Effect.gen(function* () {
        const [waited] = yield* Effect.timed(wait)
        waitedMillis += Duration.toMillis(waited)
        if (waitedMillis < timeoutMillis || arrivals.hasEnded) return
        if (arrivals.received - receivedBefore < minBytes) return yield* onDrip()
        waitedMillis = 0
        receivedBefore = arrivals.received
      })
      const take = Effect.suspend((): ChunkPull => {
        const chunks = arrivals.take()
        if (Arr.isArrayNonEmpty(chunks)) return Effect.succeed(chunks)
        return arrivals.error === undefined ? Cause.done() : Effect.fail(onError(arrivals.error))
      })
      const waitAndTake = Effect.andThen(waitForBytes, take)
      return Effect.suspend(() => (arrivals.isReady ? take : waitAndTake))
    })
  ).pipe(Stream.scoped)

/** Chunks that have arrived and have not been taken. */
class Arrivals {
  private chunks: Array<Uint8Array> = []
  private bytes = 0
  /** The number of bytes that have arrived. */
  received = 0
  hasEnded = false
  error: unknown
  /** Called once, when `isReady` becomes true. */
  onReady: (() => void) | undefined
  private turn: NodeJS.Immediate | undefined
  private readonly body: Readable
  private readonly onBytes: (bytes: number) => void

  constructor(body: Readable, onBytes: (bytes: number) => void) {
    this.body = body
    this.onBytes = onBytes
    finished(body, (error) => {
      this.error = error ?? undefined
      this.hasEnded = true
      this.wake()
    })
    body.on("data", this.onData)
  }

  /** Whether chunks can be taken, or the body has ended. */
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
    this.onBytes(chunk.length)
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
    // The reader may have taken the chunks earlier in this turn.
    if (!this.isReady) return
    const { onReady } = this
    this.onReady = undefined
    onReady?.()
  }
}
