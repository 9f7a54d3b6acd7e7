/**
 * Standard output, the only output: complete lines, in order, with back-pressure from the reader.
 *
 * Lines are appended to a buffer and written by `flush`, which waits for the reader. Writes use `fs` instead of
 * `process.stdout`, which blocks the process while a pipe is full.
 */

import { fstatSync, write, writeSync } from "node:fs"
import { isatty } from "node:tty"
import { Clock, Context, Effect, Fiber, Layer, Schedule, Schema, Semaphore } from "effect"
import { GrowingMask } from "../config/SecretMask.ts"
import { jsonLine } from "../records/jsonLine.ts"
import { LineBuffer } from "../records/LineBuffer.ts"
import type { AirbyteMessage, Trace } from "./Protocol.ts"

/** The reader has closed standard output, or it cannot be written (a full disk). */
export class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", {
  code: Schema.String
}) {}

/** The destination of the bytes. */
export interface Sink {
  /** Writes all of the bytes. */
  readonly writeAll: (bytes: Uint8Array) => Effect.Effect<void, OutputClosed>
  /** Whether a write may take a while, during which the next bytes can be encoded. */
  readonly isSlow: boolean
  /** The number of bytes that make a write worthwhile. */
  readonly flushBytes: number
}

/** Messages to the platform. */
export class Output extends Context.Service<
  Output,
  {
    /** The buffer to which encoders append complete lines. */
    readonly buffer: () => LineBuffer
    /** Appends a message with its texts masked. */
    readonly message: (message: AirbyteMessage) => void
    /** Appends a TRACE message with the present time. */
    readonly trace: (trace: Trace) => Effect.Effect<void>
    /** Masks these values in all further messages. */
    readonly maskSecrets: (...secrets: ReadonlyArray<string>) => void
    /** Masks a secret that expires, such as a token, in further messages. */
    readonly maskFetchedSecret: (secret: string) => void
    /** Whether the buffer is full enough for a `flushIfFull`. */
    readonly isFull: () => boolean
    /**
     * Starts a write if the buffer is full enough, once the previous write has ended. The next lines are encoded during the
     * write, and no faster than the reader takes them.
     */
    readonly flushIfFull: Effect.Effect<void, OutputClosed>
    /** Writes everything that has been appended, and waits for it. */
    readonly flush: Effect.Effect<void, OutputClosed>
  }
>()("source-prometheus/airbyte/Output") {
  /** Writes to a sink, such as a test's collector. */
  static readonly layerSink = (sink: Sink): Layer.Layer<Output> =>
    Layer.effect(
      Output,
      Effect.gen(function* () {
        const lock = yield* Semaphore.make(1)
        let filling = new LineBuffer(sink.flushBytes)
        let spare = new LineBuffer(sink.isSlow ? sink.flushBytes : 0)
        let writing: Fiber.Fiber<void, OutputClosed> = yield* Effect.forkDetach(Effect.void)
        const { add, addFetched, mask } = new GrowingMask()
        const written = Effect.suspend(() => Fiber.join(writing))
        // Even if the read is interrupted, a started line is completed.
        const startWriting = Effect.gen(function* () {
          yield* written
          if (filling.length === 0) return
          const full = filling
          if (!sink.isSlow) {
            yield* sink.writeAll(full.bytes.subarray(0, full.length))
            full.length = 0
            return
          }
          filling = spare
          filling.length = 0
          spare = full
          writing = yield* Effect.forkDetach(
            Effect.uninterruptible(sink.writeAll(full.bytes.subarray(0, full.length)))
          )
        })
        const exclusively = (effect: Effect.Effect<void, OutputClosed>) =>
          lock.withPermit(effect).pipe(Effect.uninterruptible)
        const flush = exclusively(Effect.andThen(startWriting, written))
        const isFull = () => filling.length >= sink.flushBytes
        const flushIfFull = Effect.suspend(() => {
          // If the write in the background has failed since, no more lines are encoded.
          if (writing.pollUnsafe()?._tag === "Failure") return written
          return isFull() ? exclusively(startWriting) : Effect.void
        })
        // Logs appear even while nothing else is written.
        yield* Effect.forkScoped(Effect.repeat(Effect.ignore(flush), Schedule.spaced("200 millis")))
        yield* Effect.addFinalizer(() => Effect.ignore(flush))
        const message = (message: AirbyteMessage) => filling.append(Buffer.from(`${render(message, mask)}\n`))
        return Output.of({
          buffer: () => filling,
          message,
          trace: (trace) =>
            Effect.map(Clock.currentTimeMillis, (emitted_at) =>
              message({ type: "TRACE", trace: { ...trace, emitted_at } })
            ),
          maskSecrets: add,
          maskFetchedSecret: addFetched,
          isFull,
          flushIfFull,
          flush
        })
      })
    )

  /** The process' standard output. */
  static readonly layer: Layer.Layer<Output> = Layer.unwrap(
    Effect.sync(() => Output.layerSink(isFile(STDOUT) ? file(STDOUT) : pipe(STDOUT)))
  )
}

const STDOUT = 1

/** Whether a write to the descriptor never waits for a reader. */
const isFile = (fd: number): boolean => {
  const stat = fstatSync(fd)
  return stat.isFile() || (stat.isCharacterDevice() && !isatty(fd))
}

/** A file accepts bytes immediately. Another thread would cost more than the write. */
const file = (fd: number): Sink => ({
  flushBytes: 256 * 1024,
  isSlow: false,
  writeAll: (bytes) =>
    Effect.try({
      try: () => {
        for (let from = 0; from < bytes.length; ) from += writeSync(fd, bytes, from)
      },
      catch: (error) => closedBy(error as NodeJS.ErrnoException)
    })
})

/** A pipe, a socket or a terminal is written by another thread, which waits for the reader. */
const pipe = (fd: number): Sink => ({
  flushBytes: 2 * 1024 * 1024,
  isSlow: true,
  writeAll: Effect.fnUntraced(function* (bytes) {
    for (let from = 0; from < bytes.length; ) from += yield* writeSome(fd, bytes, from)
  })
})

const closedBy = ({ code, message }: NodeJS.ErrnoException): OutputClosed =>
  new OutputClosed({ code: code ?? message })

const texts: ReadonlySet<string> = new Set(["message", "internal_message", "stack_trace"])

/** Only texts for people are masked. STATE, CATALOG and SPEC are written unchanged. */
const render = (message: AirbyteMessage, mask: (text: string) => string): string =>
  message.type === "LOG" || message.type === "TRACE" || message.type === "CONNECTION_STATUS"
    ? jsonLine(message, (key, value: unknown) =>
        typeof value === "string" && texts.has(key) ? mask(value) : value
      )
    : jsonLine(message)

/** Writes some of the bytes. Returns 0, after a pause, if a parent process made the descriptor non-blocking and it is full. */
const writeSome = (fd: number, bytes: Uint8Array, from: number): Effect.Effect<number, OutputClosed> =>
  Effect.callback((resume) => {
    write(fd, bytes, from, bytes.length - from, null, (error, written) => {
      if (error === null) resume(Effect.succeed(written))
      else if (error.code === "EAGAIN") resume(Effect.as(Effect.sleep("5 millis"), 0))
      else resume(Effect.fail(closedBy(error)))
    })
  })
