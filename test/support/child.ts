/**
 * The built executable as a child process: as users and Airbyte start it, with its real streams and exit codes.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Effect, type Scope } from "effect"

const builtExecutable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

/** How to start the process. */
export interface ChildOptions {
  /** Its standard input, which is empty by default. */
  readonly stdin?: string
  /** Variables in addition to this process's own; undefined removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** A script to run instead of the built executable. */
  readonly script?: string
  /** Options of Node itself, such as `--max-old-space-size=64`. */
  readonly nodeOptions?: ReadonlyArray<string>
}

/** One line of JSON. */
export type Message = Readonly<Record<string, unknown>>

/** The outcome of a process. */
export interface ChildResult {
  /** The exit code, or null if a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** Its parsed lines on stdout. Throws if one is not a JSON object, so use it only if all must be. */
  readonly messages: ReadonlyArray<Message>
}

/** A process that may still be running. */
export interface RunningChild {
  readonly process: ChildProcessWithoutNullStreams
  /** Sends a signal; `result` then shows how it ended. */
  readonly kill: (signal: NodeJS.Signals) => void
  /** The first message, past or future, that satisfies the predicate. Dies if the process ends without one. */
  readonly waitFor: (predicate: (message: Message) => boolean) => Effect.Effect<Message>
  /** Waits until it has ended. */
  readonly result: Effect.Effect<ChildResult>
}

/** Runs it to completion. An interruption, such as a test's timeout, kills it. */
export const run = (args: ReadonlyArray<string>, options: ChildOptions = {}): Effect.Effect<ChildResult> =>
  Effect.scoped(Effect.flatMap(start(args, options), (child) => child.result))

/** Starts it. If it is still running when the scope closes, it is killed. */
export const start = (
  args: ReadonlyArray<string>,
  options: ChildOptions = {}
): Effect.Effect<RunningChild, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawnChild(args, options)),
    (child) =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        child.result
      )
  )

const spawnChild = (args: ReadonlyArray<string>, options: ChildOptions): RunningChild => {
  const script = options.script ?? builtExecutable
  if (!existsSync(script)) throw new Error(`${script} does not exist: run "npm run build" first.`)
  const child = spawn(process.execPath, [...(options.nodeOptions ?? []), script, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env }
  })
  // A process that ends without reading its input is not an error in the test.
  child.stdin.on("error", () => {})
  child.stdin.end(options.stdin ?? "")

  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk
  })
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk
  })
  const ended = new Promise<ChildResult>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => {
      resolve({
        code,
        signal,
        stdout,
        stderr,
        get messages() {
          // A killed process may stop in the middle of a line.
          return parseLines(signal === null ? stdout : wholeLines(stdout))
        }
      })
    })
  })
  // Nothing may be waiting yet when it fails; `result` keeps the failure.
  ended.catch(() => {})

  return {
    process: child,
    kill: (signal) => {
      child.kill(signal)
    },
    waitFor: (predicate) =>
      Effect.callback<Message>((resume) => {
        let seen = 0
        const look = (): void => {
          const lines = wholeLines(stdout.slice(seen))
          seen += lines.length
          try {
            const message = parseLines(lines).find(predicate)
            if (message !== undefined) resume(Effect.succeed(message))
          } catch (error) {
            resume(Effect.die(error))
          }
        }
        child.stdout.on("data", look)
        look()
        ended.then(
          ({ stderr }) =>
            resume(Effect.die(new Error(`The process ended without the awaited message.\n${stderr}`))),
          (error) => resume(Effect.die(error))
        )
        return Effect.sync(() => child.stdout.off("data", look))
      }),
    result: Effect.promise(() => ended)
  }
}

/** The text up to and including its last line feed. */
const wholeLines = (text: string): string => text.slice(0, text.lastIndexOf("\n") + 1)

const parseLines = (text: string): ReadonlyArray<Message> => {
  const lines = text.split("\n")
  if (lines.at(-1) === "") lines.pop()
  return lines.map(parseLine)
}

const parseLine = (line: string): Message => {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    throw new Error(`A line on stdout is not JSON: ${line}`)
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new Error(`A line on stdout is not a JSON object: ${line}`)
  }
  return parsed as Message
}
