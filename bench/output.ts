/** The output of commands that are not being measured. */
import type { ChildProcess } from "node:child_process"
import { collect, exitOf, kill, start } from "./children.ts"
import { type Command, failure } from "./measure.ts"

const RECORD = '"type":"RECORD"'
const LINE_FEED = 10

/** The size of a command's output. */
export interface Written {
  readonly records: number
  readonly bytes: number
}

/** The entire output as text. Fails if the command fails. */
export const outputOf = async (command: Command): Promise<string> => {
  const chunks: Array<Buffer> = []
  await consume(command, (chunk) => chunks.push(chunk))
  return Buffer.concat(chunks).toString()
}

/** Counts the records that a command writes. Fails if the command fails. */
export const countOutput = async (command: Command): Promise<Written> => {
  const counter = new RecordCounter()
  // `consume` keeps the end of the output: it explains a failure.
  await consume(command, (chunk) => counter.add(chunk))
  counter.end()
  return { records: counter.records, bytes: counter.bytes }
}

/** Waits for the first record, then kills the command. Returns the time of the record, by `performance.now()`. */
export const firstRecordAt = async (command: Command): Promise<number> => {
  const child = startPiped(command)
  const stderr = collect(child.stderr)
  const counter = new RecordCounter()
  let at: number | undefined
  child.stdout!.on("data", (chunk: Buffer) => {
    if (at !== undefined) return
    counter.add(chunk)
    if (counter.records === 0) return
    at = performance.now()
    kill(child)
  })
  const exit = await exitOf(child)
  if (at === undefined) throw failure(command, exit, `It wrote no record. ${stderr()}`)
  return at
}

/** Counts the lines of a stream that are records, wherever `RECORD` is in the line. */
class RecordCounter {
  records = 0
  bytes = 0
  private rest = Buffer.alloc(0)

  add(chunk: Buffer): void {
    this.bytes += chunk.length
    const end = chunk.lastIndexOf(LINE_FEED) + 1
    if (end === 0) {
      this.rest = Buffer.concat([this.rest, chunk])
      return
    }
    // Copies only the line that spans two chunks.
    const firstEnd = chunk.indexOf(LINE_FEED) + 1
    this.count(Buffer.concat([this.rest, chunk.subarray(0, firstEnd)]))
    this.count(chunk.subarray(firstEnd, end))
    this.rest = Buffer.from(chunk.subarray(end))
  }

  end(): void {
    if (this.rest.length > 0) throw new Error("The output ends in the middle of a line.")
  }

  /** Quotes in label values are escaped, so a line contains `RECORD` at most once. */
  private count(lines: Buffer): void {
    for (let at = lines.indexOf(RECORD); at !== -1; at = lines.indexOf(RECORD, at + RECORD.length)) {
      this.records++
    }
  }
}

const startPiped = (command: Command): ChildProcess =>
  start(command.program, command.args, { stdio: ["ignore", "pipe", "pipe"] })

const consume = async (command: Command, onData: (chunk: Buffer) => void): Promise<void> => {
  const child = startPiped(command)
  const stderr = collect(child.stderr)
  let last = ""
  child.stdout!.on("data", (chunk: Buffer) => {
    onData(chunk)
    last = chunk.subarray(-4000).toString()
  })
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const exit = await exitOf(child)
  await closed
  // The connector reports errors on stdout, as the protocol requires.
  if (exit !== 0) throw failure(command, exit, `${stderr()}${last}`)
}
