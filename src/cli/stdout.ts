/** Standard output. Node's own console silently drops what a full disk rejects. */
import { format } from "node:util"
import { Console, Effect } from "effect"

/** Writes a line. Returns a sentence on failure. A closed reader, as after `| head`, is no failure. */
const writeLine = (line: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    // The stream also emits the callback's error, and Node exits if nothing listens.
    const ignore = () => {}
    process.stdout.once("error", ignore)
    process.stdout.write(`${line}\n`, (error: NodeJS.ErrnoException | null | undefined) => {
      if (!error) process.stdout.removeListener("error", ignore)
      const isWritten = !error || error.code === "EPIPE"
      resolve(isWritten ? undefined : `Cannot write to standard output: ${error.code ?? error.message}.`)
    })
  })

/**
 * Prints a line. Fails with a sentence on a write error, so that a reading program never gets a partial result without an
 * error.
 */
export const print = (line: string): Effect.Effect<void, string> =>
  Effect.flatMap(
    Effect.promise(() => writeLine(line)),
    (why) => (why === undefined ? Effect.void : Effect.fail(why))
  )

/** Runs an effect with a console that prints this way and waits for its lines. Returns a sentence on a write error. */
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
