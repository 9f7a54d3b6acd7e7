/** Standard output. Node's own console drops what a full disk refuses without a word. */
import { format } from "node:util"
import { Console, Effect } from "effect"

/** Writes a line. Returns a sentence if that is not possible. A reader that has gone, as after `| head`, has read enough. */
const writeLine = (line: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    // The stream emits the callback's error, too, and Node exits if nothing listens.
    const ignore = () => {}
    process.stdout.once("error", ignore)
    process.stdout.write(`${line}\n`, (error: NodeJS.ErrnoException | null | undefined) => {
      if (!error) process.stdout.removeListener("error", ignore)
      const isWritten = !error || error.code === "EPIPE"
      resolve(isWritten ? undefined : `Standard output cannot be written: ${error.code ?? error.message}.`)
    })
  })

/** Prints a line. Fails with a sentence if it cannot be written: a program that reads it must not get a part. */
export const print = (line: string): Effect.Effect<void, string> =>
  Effect.flatMap(
    Effect.promise(() => writeLine(line)),
    (why) => (why === undefined ? Effect.void : Effect.fail(why))
  )

/** Runs an effect with a console that prints like this, waits for its lines, and returns a sentence if one cannot be written. */
export const withConsole = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<readonly [A, unwritten: string | undefined], E, R> =>
  Effect.suspend(() => {
    const writes: Array<Promise<string | undefined>> = []
    const log = (...args: ReadonlyArray<unknown>): void => void writes.push(writeLine(format(...args)))
    return effect.pipe(
      Effect.provideService(Console.Console, { ...globalThis.console, log }),
      Effect.flatMap((value) =>
        Effect.map(
          Effect.promise(() => Promise.all(writes)),
          (results) => [value, results.find((why) => why !== undefined)] as const
        )
      )
    )
  })
