/**
 * Processes that write parts to one folder, in an order that choices decide: before each operation on files, a process waits for
 * its turn. A process may be killed, or paused until the others are done.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { type Clock, Effect, FileSystem, Layer } from "effect"
import { fileName } from "../../../src/destinations/folder/fileName.ts"
import type { Choices } from "../../choices.ts"
import { killed } from "../stops.ts"

/** A pause of a process, or of the program for other reasons. */
const LONG_MILLIS = 5000

/** Gives turns to processes. */
export class Turns {
  private waiting: Array<{ readonly process: number; readonly take: () => void }> = []
  private readonly alive = new Set<number>()
  private millis = 0
  readonly killed = new Set<number>()
  turns = 0

  private readonly choices: Choices
  constructor(choices: Choices) {
    this.choices = choices
  }

  begin(process: number): void {
    this.alive.add(process)
  }

  end(process: number): void {
    this.alive.delete(process)
  }

  /** Waits for a turn. */
  wait(process: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.killed.has(process)) return Effect.die(killed)
      return Effect.andThen(
        Effect.callback<void>((resume) => {
          this.waiting.push({ process, take: () => resume(Effect.void) })
        }),
        Effect.suspend(() => (this.killed.has(process) ? Effect.die(killed) : Effect.void))
      )
    })
  }

  /** Gives turns until all processes have ended. `pick` chooses among those that wait. */
  async run(pick: (processes: ReadonlyArray<number>) => number, between: () => Promise<void>): Promise<void> {
    let spins = 0
    while (this.alive.size > 0) {
      const waiting = new Set(this.waiting.map(({ process }) => process))
      // A process that does not wait is computing, or waits for DuckDB.
      if (Array.from(this.alive).some((process) => !waiting.has(process))) {
        await new Promise((resolve) => (spins++ < 20 ? setImmediate(resolve) : setTimeout(resolve, 1)))
        continue
      }
      spins = 0
      await between()
      // The one that has waited longest is the first, so that all have their turns where choices have run out.
      const next = pick(Array.from(waiting))
      const index = this.waiting.findIndex(({ process }) => process === next)
      const [turn] = this.waiting.splice(index, 1)
      this.turns++
      turn!.take()
      // It leaves the list at once, so wait until it is there again or has ended.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** A clock for a process: time passes when it is looked at, and sleeping takes a turn. */
  clock(clock: Clock.Clock, process: number): Clock.Clock {
    const nanos = () => {
      this.millis += this.choices.between(10, 300)
      return BigInt(this.millis) * 1_000_000n
    }
    return {
      ...clock,
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration: Parameters<Clock.Clock["sleep"]>[0]) => {
        const millis = Number(
          (duration as unknown as { readonly value?: { readonly millis?: number } }).value?.millis ?? 0
        )
        return millis >= LONG_MILLIS ? Effect.never : this.wait(process)
      }
    } as Clock.Clock
  }

  /** Files whose operations take turns. `onReplaced` gets the path of each file that replaces another one. */
  files(process: number, onRenamed: (to: string) => void) {
    return Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (files) => {
        const turn = <A, E, R>(operation: Effect.Effect<A, E, R>) =>
          Effect.andThen(this.wait(process), operation)
        return FileSystem.FileSystem.of({
          ...files,
          exists: (...args) => turn(files.exists(...args)),
          makeDirectory: (...args) => turn(files.makeDirectory(...args)),
          lstat: (...args) => turn(files.lstat(...args)),
          link: (...args) => turn(files.link(...args)),
          open: (...args) => turn(files.open(...args)),
          readDirectory: (...args) => turn(files.readDirectory(...args)),
          remove: (...args) => turn(files.remove(...args)),
          rename: (from, to) =>
            Effect.tap(turn(files.rename(from, to)), () => Effect.sync(() => onRenamed(to)))
        })
      })
    )
  }
}

/** A row that a reader sees. */
export interface SeenRow {
  readonly key: string
  readonly value: string
}

const database = DuckDBInstance.create(":memory:", { threads: "1" })

/** The rows of a stream as readers see them that know nothing of manifests. */
export const rowsIn = async (folder: string, stream: string): Promise<ReadonlyArray<SeenRow>> => {
  const connection = await (await database).connect()
  try {
    const pattern = join(folder, fileName(stream), "*", "*.parquet")
    const read = await connection.runAndReadAll(
      `SELECT series_id || ' ' || epoch_ms(time)::VARCHAR AS key, coalesce(value::INTEGER::VARCHAR, 'histogram of ' || histogram.count::INTEGER) AS value
       FROM read_parquet('${pattern}', union_by_name = true)`
    )
    return read.getRowObjectsJS() as unknown as ReadonlyArray<SeenRow>
  } catch (error) {
    if (String(error).includes("No files found")) return []
    throw error
  } finally {
    connection.closeSync()
  }
}

/** The ids of the processes that write parts to a folder. */
export const processesIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(folder, "_state")).flatMap((name) => /^_shared\.(.*)$/.exec(name)?.[1] ?? [])

/** Turns processes into ones that have ended. */
export const buryProcess = (folder: string, id: string): void => {
  const path = join(folder, "_state", `_shared.${id}`)
  writeFileSync(
    path,
    `${JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), process: 4_194_305 })}\n`
  )
}

export const isManifest = (path: string, stream: string): boolean =>
  basename(path) === `${fileName(stream)}.json`
