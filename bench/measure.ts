/** Runs a command once and measures it. */
import { collect, exitOf, start } from "./children.ts"
import { endedChildrenCpuSeconds } from "./proc.ts"

/** A program and its arguments. */
export interface Command {
  readonly program: string
  readonly args: ReadonlyArray<string>
}

/** The time and memory of one run. */
export interface Measurement {
  readonly seconds: number
  /** User and system time, including `cat` if there is a pipe. */
  readonly cpuSeconds: number
  /** In megabytes of a million bytes. Only commands of Node report it, on request. */
  readonly peakRssMegabytes?: number
}

/** A command that runs a script in the Node of this process. */
export const nodeCommand = (...args: ReadonlyArray<string>): Command => ({ program: process.execPath, args })

const reporter = new URL("./peers/reportUsage.mjs", import.meta.url).href

/** Runs a command with its output to /dev/null, and nothing added. */
export const measure = async (command: Command): Promise<Measurement> => {
  const { report: _, ...measurement } = await run(command)
  return measurement
}

/** Runs a command of Node with its output to /dev/null, and measures its memory too. */
export const measureNode = (command: Command): Promise<Measurement> => reported(command, reporting(command))

/** The same with its output through a pipe. A shell creates the pipe, since Node's own "pipe" is a socket. */
export const measureNodeThroughPipe = (command: Command): Promise<Measurement> => {
  const { args, program } = reporting(command)
  return reported(command, {
    program: "sh",
    args: ["-c", '"$@" | cat > /dev/null', "sh", program, ...args]
  })
}

const reporting = ({ args, program }: Command): Command => ({
  program,
  args: ["--import", reporter, ...args]
})

const reported = async (command: Command, actual: Command): Promise<Measurement> => {
  const { report, ...measurement } = await run(actual)
  // A shell returns the exit code of the last process of a pipe, so the first one reports its own.
  const { exitCode, peakRssMegabytes } = parseReport(report)
  if (exitCode !== 0) throw failure(command, exitCode ?? "no report, so it must have been killed")
  return { ...measurement, peakRssMegabytes }
}

const parseReport = (report: string): { readonly exitCode?: number; readonly peakRssMegabytes: number } =>
  report === "" ? { peakRssMegabytes: 0 } : JSON.parse(report)

const run = async (command: Command): Promise<Measurement & { readonly report: string }> => {
  const cpuBefore = endedChildrenCpuSeconds()
  const began = performance.now()
  const child = start(command.program, command.args, { stdio: ["ignore", "ignore", "pipe", "pipe"] })
  const stderr = collect(child.stderr)
  const report = collect(child.stdio[3] as NodeJS.ReadableStream)
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const exit = await exitOf(child)
  const seconds = (performance.now() - began) / 1000
  const cpuSeconds = endedChildrenCpuSeconds() - cpuBefore
  await closed
  if (exit !== 0) throw failure(command, exit, stderr())
  return { seconds, cpuSeconds, report: report() }
}

/** An error with the command that failed, and its output. */
export const failure = ({ args, program }: Command, exit: number | string, details = ""): Error =>
  new Error(`This command of the bench failed (${exit}): ${[program, ...args].join(" ")}\n${details}`)
