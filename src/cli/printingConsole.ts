/** A console that knows whether standard output took what was printed. Node's own drops it silently on a full disk. */
import { format } from "node:util"
import { Console, Effect } from "effect"

/**
 * Runs an effect with such a console. Then waits for its lines, and returns why they cannot be written, if so. A reader that
 * has gone, as after `| head`, has had what it wanted.
 */
export const withPrintingConsole = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<readonly [A, unwritten: string | undefined], E, R> =>
  Effect.suspend(() => {
    const writes: Array<Promise<NodeJS.ErrnoException | null | undefined>> = []
    const log = (...args: ReadonlyArray<unknown>): void => {
      // What the callback is given is an event as well, which nobody else listens to.
      process.stdout.once("error", () => {})
      writes.push(new Promise((resolve) => process.stdout.write(`${format(...args)}\n`, resolve)))
    }
    return effect.pipe(
      Effect.provideService(Console.Console, { ...globalThis.console, log }),
      Effect.flatMap((value) =>
        Effect.map(
          Effect.promise(() => Promise.all(writes)),
          (results) => {
            const error = results.find((result) => result && result.code !== "EPIPE")
            return [value, error ? (error.code ?? error.message) : undefined] as const
          }
        )
      )
    )
  })
