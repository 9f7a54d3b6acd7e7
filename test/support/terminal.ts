/** The built executable in a terminal, as a person uses it: the bytes that it writes to both of its outputs. */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

export interface TerminalOptions {
  readonly columns?: number
  readonly rows?: number
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Presses Ctrl-C once this has been written. */
  readonly interruptAt?: string
}

export interface TerminalResult {
  readonly code: number | null
  /** The complete output, with the program's own line feeds. */
  readonly written: Buffer
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/** Runs it to completion. The terminal is created by util-linux's `script`, and does not change the output. */
export const runOnTerminal = (
  args: ReadonlyArray<string>,
  { columns = 80, cwd, env, interruptAt, rows = 24 }: TerminalOptions = {}
): Effect.Effect<TerminalResult> =>
  Effect.callback((resume) => {
    if (!existsSync(executable)) throw new Error(`${executable} does not exist: run "npm run build" first.`)
    const command = [process.execPath, executable, ...args].map(quoted).join(" ")
    const terminal = spawn(
      "script",
      ["-qefc", `stty cols ${columns} rows ${rows} -opost -echo; exec ${command}`, "/dev/null"],
      {
        cwd,
        env: { ...process.env, TERM: "xterm-256color", SHELL: "/bin/sh", ...env },
        stdio: ["pipe", "pipe", "inherit"]
      }
    )
    const chunks: Array<Buffer> = []
    let isInterrupted = false
    terminal.stdout.on("data", (chunk: Buffer) => {
      chunks.push(chunk)
      if (interruptAt === undefined || isInterrupted) return
      if (!Buffer.concat(chunks).includes(interruptAt)) return
      isInterrupted = true
      terminal.stdin.write("\u0003")
    })
    terminal.once("error", (error) => resume(Effect.die(error)))
    terminal.once("close", (code) => resume(Effect.succeed({ code, written: Buffer.concat(chunks) })))
    return Effect.sync(() => terminal.kill("SIGKILL"))
  })
