/** An `Output` that collects everything written to it, for tests. */
import { Effect, type Layer } from "effect"
import { Output, type OutputClosed } from "../../src/airbyte/Output.ts"

/** A written line. */
export type Message = Readonly<Record<string, unknown>> & { readonly type: string }

/** The lines written so far, and the layer that writes them. */
export interface Collector {
  readonly layer: Layer.Layer<Output>
  readonly text: () => string
  /** Throws if a line is incomplete. */
  readonly messages: () => ReadonlyArray<Message>
}

/** Creates a collector. `before` runs before each write, to delay it or make it fail. */
export const makeCollector = (before: Effect.Effect<void, OutputClosed> = Effect.void): Collector => {
  let written = ""
  const text = () => written
  return {
    // Bytes are copied when the write takes place, as the operating system does: they must not have changed by then.
    layer: Output.layerSink({
      flushBytes: 1024 * 1024,
      isSlow: true,
      writeAll: (bytes) =>
        Effect.andThen(
          before,
          Effect.sync(() => {
            written += Buffer.from(bytes).toString("utf8")
          })
        )
    }),
    text,
    messages: () => {
      if (written !== "" && !written.endsWith("\n")) throw new Error("The last line is incomplete.")
      return written
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Message)
    }
  }
}
