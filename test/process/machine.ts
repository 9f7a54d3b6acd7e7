/** The machine's capabilities that tests of a process need. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import type { ChildResult } from "../support/child.ts"

/**
 * Whether other users, mounts and limits are available: root on Linux. CI must have them, so that tests that need them
 * fail there instead of being skipped.
 */
export const isRoot =
  process.platform === "linux" && (process.getuid?.() === 0 || process.env.CI !== undefined)

/** A user ID without an entry in the user database. */
export const STRANGER = 12345

/** How to start a program. */
export interface ExecuteOptions {
  /** All of its environment variables, except PATH: none are inherited from this process. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Runs it in its own mount namespace, which ends with it. */
  readonly unshare?: boolean
}

/** Runs a program to completion; an interruption kills it. Its standard input is empty. */
export const execute = (
  command: ReadonlyArray<string>,
  { cwd, env = {}, unshare = false }: ExecuteOptions = {}
): Effect.Effect<Pick<ChildResult, "code" | "signal" | "stdout" | "stderr">> =>
  Effect.callback((resume) => {
    const [name, ...args] = unshare ? ["unshare", "--mount", "--", ...command] : command
    const child = spawn(name!, args, {
      cwd,
      env: { PATH: process.env.PATH, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
    child.once("error", (error) => resume(Effect.die(error)))
    child.once("close", (code, signal) => resume(Effect.succeed({ code, signal, stdout, stderr })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** A script for `sh`, which has the command as `"$@"`. */
export const sh = (script: string, command: ReadonlyArray<string>): ReadonlyArray<string> => [
  "sh",
  "-c",
  script,
  "sh",
  ...command
]

/** The folder of the program and its dependencies. */
export const repository = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")

/** The built program with its arguments. */
export const program = (...args: ReadonlyArray<string>): ReadonlyArray<string> => [
  process.execPath,
  join(repository, "dist/source-prometheus.js"),
  ...args
]

/** The command for a repository that is mounted elsewhere, such as where all users can read it. */
export const movedTo = (place: string, command: ReadonlyArray<string>): ReadonlyArray<string> =>
  command.map((text) => (text.startsWith(`${repository}/`) ? place + text.slice(repository.length) : text))
