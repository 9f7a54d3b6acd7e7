/** The part files that a run writes for a stream. Parts are immutable: a change writes a new part that supersedes the old one. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Struct } from "effect"
import { sumOf } from "../contents.ts"
import { cannot, syncFile } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import { removePath } from "../folder/layerFolder.ts"
import { quoteText } from "../tables/quoteSql.ts"
import type { TimeSpan } from "./Days.ts"
import type { Engine } from "./engine.ts"
import { type ParquetFolder, recover } from "./files.ts"
import { baseOf, freshPath, type ParquetManifest, type PartFile, placeOf, type Where } from "./manifest.ts"

/** Smaller files of the same day are merged when the stream is complete. */
const SMALL_BYTES = 32 * 1024 * 1024

/** A path as a glob pattern that matches only this path. */
export const globEscape = (path: string): string => path.replace(/[[*?]/g, "[$&]")

/** Starts with the parts `begun` of a manifest, which are in one folder. Closing the scope discards parts that were not saved. */
export const openParts = Effect.fnUntraced(function* (
  opened: ParquetFolder,
  engine: Engine,
  connection: DuckDBConnection,
  manifest: ParquetManifest,
  where: Where,
  begun: ReadonlyArray<PartFile>
) {
  const { files, folder } = opened
  const { stream } = manifest
  /** The parts after the next commit. */
  let working: ReadonlyArray<PartFile> = begun.map((file) => Struct.omit(file, ["from"]))
  let nextPart = manifest.nextPart
  const touched = new Set<string>()
  /** New files that were superseded before they were moved into place. */
  const superseded: Array<string> = []

  const ofDay = (day: string): ReadonlyArray<PartFile> => working.filter((file) => file.day === day)
  const pathOf = (file: PartFile): string => `${folder}/${file.from ?? placeOf(where, stream, file)}`
  const reading = (list: ReadonlyArray<PartFile>): string =>
    `read_parquet([${list.map((file) => quoteText(globEscape(pathOf(file)))).join(", ")}], union_by_name = true, hive_partitioning = false`

  /** Writes the rows of a query to a new part that supersedes other parts of that day. `span` is their time range. */
  const write = Effect.fnUntraced(function* (
    day: string,
    query: string,
    instead: ReadonlyArray<PartFile>,
    span: TimeSpan
  ) {
    const part = nextPart++
    const from = freshPath(stream, part)
    const path = `${engine.workPath}/${fileName(stream)}=${part}`
    const { rowsChanged } = yield* engine.attempt(() =>
      connection.run(`COPY (${query}) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`)
    )
    yield* syncFile(path)
    const { size } = yield* files.stat(path).pipe(Effect.mapError(cannot("read", path)))
    yield* files
      .rename(path, `${folder}/${from}`)
      .pipe(Effect.mapError(cannot("written", `${folder}/${from}`)))
    superseded.push(...instead.flatMap((file) => file.from ?? []))
    const { firstMillis, lastMillis } = span
    working = [
      ...working.filter((file) => !instead.includes(file)),
      { day, part, bytes: Number(size), rows: rowsChanged, firstMillis, lastMillis, from }
    ]
    touched.add(day)
  })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      const saved = opened.manifests.get(stream)
      const live = new Set([...(saved?.files ?? []), ...(saved?.next?.files ?? [])].map(({ part }) => part))
      const rest = working.flatMap(({ from, part }) => (live.has(part) ? [] : (from ?? [])))
      const removeNew = (from: string) => Effect.ignore(removePath(`${folder}/${from}`))
      return Effect.forEach([...superseded, ...rest], removeNew, { discard: true })
    })
  )

  return {
    list: (): ReadonlyArray<PartFile> => working,
    ofDay,
    reading,
    write,
    /** Keeps only the last row of each series and time in parts that may repeat some. */
    makeUnique: Effect.gen(function* () {
      for (const day of new Set(working.map((file) => file.day))) {
        const list = ofDay(day)
        const order = list.map((file, index) => `WHEN ${quoteText(pathOf(file))} THEN ${index}`).join(" ")
        yield* write(
          day,
          `SELECT * EXCLUDE (filename, file_row_number)
           FROM ${reading(list)}, filename = true, file_row_number = true)
           QUALIFY row_number() OVER (
             PARTITION BY series_id, time ORDER BY CASE filename ${order} END DESC, file_row_number DESC
           ) = 1`,
          list,
          sumOf(list)
        )
      }
    }),
    /** Merges the small parts at the end of a day. */
    compact: Effect.gen(function* () {
      for (const day of touched) {
        const list = ofDay(day)
        const last = list.slice(list.findLastIndex((file) => file.bytes >= SMALL_BYTES) + 1)
        if (last.length > 1) yield* write(day, `FROM ${reading(last)})`, last, sumOf(last))
      }
      touched.clear()
    }),
    /** Saves a manifest of these parts, and moves them into place. */
    save: Effect.fnUntraced(function* (rest: Omit<ParquetManifest, "nextPart">) {
      const changed: ParquetManifest = { ...rest, nextPart }
      // The contents of these files are unknown, and a new manifest would make them live.
      if (opened.damaged(stream) !== undefined) yield* removePath(`${folder}/${baseOf("main", stream)}`)
      yield* opened.save(changed)
      yield* recover(opened, changed)
      working = working.map((file) => Struct.omit(file, ["from"]))
      yield* Effect.forEach(superseded.splice(0), (from) => removePath(`${folder}/${from}`), {
        discard: true
      })
      return changed
    })
  }
})
