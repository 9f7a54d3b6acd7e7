/** What tests of a process need of the machine. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import type { ChildResult } from "../support/child.ts"

/**
 * Whether other users, mounts and limits can be had: root on Linux. In CI they have to be there, so what needs them fails
 * instead of being left out.
 */
export const isRoot =
  process.platform === "linux" && (process.getuid?.() === 0 || process.env.CI !== undefined)

/** A user that has no entry in the list of users. */
export const STRANGER = 12345

/** How a program is started. */
export interface ExecuteOptions {
  /** All its variables: none of this process's own. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** In mounts of its own, which are gone with it. */
  readonly unshare?: boolean
}

/** Runs any program to its end; an interruption kills it. Its standard input is empty. */
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

/** A script for `sh`, with the command that it has as `"$@"`. */
export const sh = (script: string, command: ReadonlyArray<string>): ReadonlyArray<string> => [
  "sh",
  "-c",
  script,
  "sh",
  ...command
]

/** Where the program and what it needs are. */
export const repository = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")

/** The built program with its arguments. */
export const program = (...args: ReadonlyArray<string>): ReadonlyArray<string> => [
  process.execPath,
  join(repository, "dist/source-prometheus.js"),
  ...args
]

/** The same where the repository is mounted in another place, such as one that all users can read. */
export const movedTo = (place: string, command: ReadonlyArray<string>): ReadonlyArray<string> =>
  command.map((text) => (text.startsWith(`${repository}/`) ? place + text.slice(repository.length) : text))
