/**
 * Standard output, the only way out: whole lines, in order, as fast as the reader takes them.
 *
 * Lines are appended to a buffer at once and written by `flush`, which waits for the reader. The descriptor is
 * written through `fs`, not `process.stdout`: that blocks the whole process while a pipe is full.
 */

import { write } from "node:fs"
import { Context, Data, Effect, Layer, Schedule, Semaphore } from "effect"
import { ByteBuffer } from "../records/ByteBuffer.ts"
import type { AirbyteMessage } from "./Protocol.ts"
import { makeMask } from "./SecretMask.ts"

/** Nobody reads our output any more, or it cannot be written (a full disk). */
export class OutputClosed extends Data.TaggedError("OutputClosed")<{ readonly code: string }> {}

/** Buffered bytes that make a flush worth its while. */
export const FLUSH_BYTES = 256 * 1024

/** Messages to the platform. */
export class Output extends Context.Service<
  Output,
  {
    /** Where encoders append whole lines. */
    readonly buffer: () => ByteBuffer
    /** Appends a message. Its texts are masked. */
    readonly message: (message: AirbyteMessage) => void
    /** Hides these values in all further messages. */
    readonly maskSecrets: (secrets: ReadonlyArray<string>) => void
    /** Writes all that has been appended. */
    readonly flush: Effect.Effect<void, OutputClosed>
  }
>()("source-prometheus/airbyte/Output") {
  /** Writes with a function that takes bytes, such as a test's collector. */
  static readonly layerWriter = (
    writeAll: (bytes: Uint8Array) => Effect.Effect<void, OutputClosed>
  ): Layer.Layer<Output> =>
    Layer.effect(
      Output,
      Effect.gen(function* () {
        const lock = yield* Semaphore.make(1)
        let filling = new ByteBuffer(2 * FLUSH_BYTES)
        let spare = new ByteBuffer(2 * FLUSH_BYTES)
        let mask = makeMask([])
        // A line that has begun is finished, even when the read is interrupted.
        const flush = Effect.suspend(() => {
          if (filling.length === 0) return Effect.void
          const full = filling
          filling = spare
          spare = full
          return Effect.andThen(
            writeAll(full.bytes.subarray(0, full.length)),
            Effect.sync(() => {
              full.length = 0
            })
          )
        }).pipe(Effect.uninterruptible, lock.withPermit)
        // What is logged while nothing else happens is seen all the same.
        yield* Effect.forkScoped(Effect.repeat(Effect.ignore(flush), Schedule.spaced("200 millis")))
        yield* Effect.addFinalizer(() => Effect.ignore(flush))
        return Output.of({
          buffer: () => filling,
          message: (message) => filling.append(Buffer.from(`${render(message, mask)}\n`)),
          maskSecrets: (secrets) => {
            mask = makeMask(secrets)
          },
          flush
        })
      })
    )

  /** The process' standard output. */
  static readonly layer: Layer.Layer<Output> = Output.layerWriter((bytes) => writeFully(1, bytes, 0))
}

/** Only texts that people read are masked: STATE, CATALOG and SPEC pass as they are. */
const render = (message: AirbyteMessage, mask: (text: string) => string): string =>
  message.type === "LOG" || message.type === "TRACE" || message.type === "CONNECTION_STATUS"
    ? JSON.stringify(message, (key, value: unknown) =>
        typeof value === "string" && key !== "type" && key !== "name" ? mask(value) : value
      )
    : JSON.stringify(message)

/** Writes until all is taken. A descriptor that does not block, because a parent made it so, is asked again. */
const writeFully = (fd: number, bytes: Uint8Array, from: number): Effect.Effect<void, OutputClosed> =>
  writeSome(fd, bytes, from).pipe(
    Effect.flatMap((written) =>
      from + written === bytes.length ? Effect.void : writeFully(fd, bytes, from + written)
    )
  )

const writeSome = (fd: number, bytes: Uint8Array, from: number): Effect.Effect<number, OutputClosed> =>
  Effect.callback<number, NodeJS.ErrnoException>((resume) => {
    write(fd, bytes, from, bytes.length - from, null, (error, written) => {
      resume(error === null ? Effect.succeed(written) : Effect.fail(error))
    })
  }).pipe(
    Effect.catch((error) =>
      error.code === "EAGAIN"
        ? Effect.as(Effect.sleep("5 millis"), 0)
        : Effect.fail(new OutputClosed({ code: error.code ?? error.message }))
    )
  )
