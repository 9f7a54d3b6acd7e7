/** The part files that a run writes for a stream. Parts are immutable: a change writes a new part that supersedes the old one. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import { sumOf } from "../contents.ts"
import { cannot } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import { quoteText } from "../tables/quoteSql.ts"
import type { TimeSpan } from "./Days.ts"
import type { Engine } from "./engine.ts"
import { type ParquetManifest, type PartFile, placeOf, type Where } from "./manifest.ts"
import type { PartPlace } from "./PartPlace.ts"

/** Smaller files of the same day are merged when the stream is complete. */
export const SMALL_BYTES = 32 * 1024 * 1024

/** A path as a glob pattern that matches only this path. */
export const globEscape = (path: string): string => path.replace(/[[*?]/g, "[$&]")

/** A query of the rows in local files. Without its end, for more parameters. */
export const reading = (paths: ReadonlyArray<string>): string =>
  `read_parquet([${paths.map((path) => quoteText(globEscape(path))).join(", ")}], union_by_name = true, hive_partitioning = false`

export const overlaps = (a: TimeSpan, b: TimeSpan): boolean =>
  a.firstMillis !== null &&
  a.lastMillis !== null &&
  b.firstMillis !== null &&
  b.lastMillis !== null &&
  a.firstMillis <= b.lastMillis &&
  b.firstMillis <= a.lastMillis

/**
 * Starts with the parts `begun` of a manifest, which are in one folder. Closing the scope discards parts that were not saved. */
export const openParts = Effect.fnUntraced(function* (
  place: PartPlace,
  engine: Engine,
  connection: DuckDBConnection,
  manifest: ParquetManifest,
  where: Where,
  begun: ReadonlyArray<PartFile>,
  key = "series_id"
) {
  const { files } = place
  const { stream } = manifest
  const settled = (file: PartFile): PartFile => place.settled(where, file)
  /** The parts after the next commit. */
  let working: ReadonlyArray<PartFile> = begun.map(settled)
  let nextPart = manifest.nextPart
  const touched = new Set<string>()
  /** New files that were superseded before they were moved into place. */
  const superseded: Array<string> = []
  /** The parts in the latest manifest, and those with rows of them. */
  let saved = new Set(working.map(({ part }) => part))
  let committed = new Set(saved)

  const ofDay = (day: string): ReadonlyArray<PartFile> => working.filter((file) => file.day === day)
  const pathsOf = (list: ReadonlyArray<PartFile>) =>
    place.localFiles(list.map((file) => file.from ?? placeOf(where, stream, file)))

  /**
   * Writes the rows of a query to a new part that supersedes other parts of that day, from whose local files the query is made.
   * `span` is the time range of the rows.
   */
  const write = Effect.fnUntraced(function* (
    day: string,
    instead: ReadonlyArray<PartFile>,
    span: TimeSpan,
    queryOf: (paths: ReadonlyArray<string>) => string
  ) {
    const part = nextPart++
    const fresh = place.freshPlace(stream, part)
    const path = `${engine.workPath}/${fileName(stream)}=${part}`
    const { rowsChanged } = yield* Effect.scoped(
      Effect.flatMap(pathsOf(instead), (paths) =>
        engine.attempt(() =>
          connection.run(`COPY (${queryOf(paths)}) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`)
        )
      )
    )
    const { size } = yield* files.stat(path).pipe(Effect.mapError(cannot("read", path)))
    yield* place.addPart(path, fresh.from)
    const replaced = new Set(instead)
    // A manifest lists those that were saved.
    const unsaved = instead.filter((file) => !saved.has(file.part))
    superseded.push(...unsaved.flatMap((file) => file.from ?? []))
    if (instead.some((file) => committed.has(file.part))) committed.add(part)
    const { firstMillis, lastMillis } = span
    working = [
      ...working.filter((file) => !replaced.has(file)),
      { day, part, bytes: Number(size), rows: rowsChanged, firstMillis, lastMillis, ...fresh }
    ]
    touched.add(day)
  })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      const saved = place.manifests.get(stream)
      const live = new Set([...(saved?.files ?? []), ...(saved?.next?.files ?? [])].map(({ part }) => part))
      const rest = working.flatMap(({ from, part }) => (live.has(part) ? [] : (from ?? [])))
      const removeNew = (from: string) => Effect.ignore(place.removeNew(stream, from))
      return Effect.forEach([...superseded, ...rest], removeNew, { discard: true })
    })
  )

  return {
    list: (): ReadonlyArray<PartFile> => working,
    /**
     * Writes the rows of a query, which are all in one day and a range of time. They replace rows of earlier commits with the same
     * series and time: only parts whose ranges overlap can have some, and are rewritten without those.
     */
    writeRows: Effect.fnUntraced(function* (day: string, rows: string, span: TimeSpan, replaces: boolean) {
      const older = replaces
        ? ofDay(day).filter((file) => committed.has(file.part) && overlaps(file, span))
        : []
      yield* write(day, older, sumOf([...older, { rows: 0, ...span }]), (paths) =>
        paths.length === 0
          ? rows
          : `WITH later AS MATERIALIZED (${rows})
             FROM ${reading(paths)}) AS older
             WHERE NOT EXISTS (FROM later WHERE later.${key} = older.${key} AND later.time = older.time)
             UNION ALL BY NAME FROM later`
      )
    }),
    /** Keeps only the last row of each series and time in parts that may repeat some. */
    makeUnique: Effect.gen(function* () {
      for (const day of new Set(working.map((file) => file.day))) {
        const list = ofDay(day)
        yield* write(day, list, sumOf(list), (paths) => {
          const order = paths.map((path, index) => `WHEN ${quoteText(path)} THEN ${index}`).join(" ")
          return `SELECT * EXCLUDE (filename, file_row_number)
           FROM ${reading(paths)}, filename = true, file_row_number = true)
           QUALIFY row_number() OVER (
             PARTITION BY ${key}, time ORDER BY CASE filename ${order} END DESC, file_row_number DESC
           ) = 1`
        })
      }
    }),
    /** Merges the small parts at the end of a day, if there are too many. */
    compact: Effect.gen(function* () {
      for (const day of touched) {
        const list = ofDay(day)
        const last = list.slice(list.findLastIndex((file) => file.bytes >= SMALL_BYTES) + 1)
        if (last.length > place.mostSmallParts) {
          yield* write(day, last, sumOf(last), (paths) => `FROM ${reading(paths)})`)
        }
      }
      touched.clear()
    }),
    /** Saves a manifest of these parts, and moves them into place. */
    save: Effect.fnUntraced(function* (rest: Omit<ParquetManifest, "nextPart">) {
      const changed: ParquetManifest = { ...rest, nextPart }
      if (place.damaged(stream) !== undefined) yield* place.removeUnknown(stream)
      yield* place.save(changed)
      yield* place.recover(changed)
      working = working.map(settled)
      saved = new Set(working.map(({ part }) => part))
      committed = new Set(saved)
      yield* Effect.forEach(superseded.splice(0), (from) => place.removeNew(stream, from), {
        discard: true
      })
      return changed
    })
  }
})
