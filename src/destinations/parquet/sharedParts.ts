/** The files of one part of a stream until they are committed, beside other processes that commit to the same stream. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import { sumOf } from "../contents.ts"
import { DestinationError } from "../Destination.ts"
import { cannot } from "../folder/durably.ts"
import { fileName } from "../folder/fileName.ts"
import { quoteText } from "../tables/quoteSql.ts"
import type { TimeSpan } from "./Days.ts"
import type { Engine } from "./engine.ts"
import { asidePath, type ParquetManifest, type PartFile, placeOf } from "./manifest.ts"
import { reading } from "./parts.ts"
import type { Latest, SharedPlace } from "./SharedPlace.ts"

/** A file that has no number yet. */
export type NewFile = Omit<PartFile, "part" | "from" | "id"> & { readonly id: string }

/** Other processes need a moment for their commits. */
const PAUSE_MILLIS = 20
const MOST_PAUSE_MILLIS = 1000

/** More attempts than a hundred processes need that commit to one stream all the time. */
const ATTEMPTS = 1000

/** A file that is moved while it is read is in its place the next time. */
const MOST_FAILURES = 3

export type SharedParts = Effect.Success<ReturnType<typeof openSharedParts>>

/** Closing the scope removes the files that were not committed. */
export const openSharedParts = Effect.fnUntraced(function* (
  place: SharedPlace,
  engine: Engine,
  connection: DuckDBConnection,
  stream: string,
  nextId: () => string
) {
  /** The ids of all files that may be aside. */
  const aside = new Set<string>()

  const remove = Effect.fnUntraced(function* (ids: Iterable<string>) {
    for (const id of ids) {
      aside.delete(id)
      yield* place.remove(asidePath(stream, id))
    }
  })
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.suspend(() => remove([...aside]))))

  /** Writes the rows of a query to a new file. `span` is their time range. */
  const write = Effect.fnUntraced(function* (day: string, query: string, span: TimeSpan) {
    const id = nextId()
    const path = `${engine.workPath}/${fileName(stream)}=${id}`
    const { rowsChanged } = yield* engine.attempt(() =>
      connection.run(`COPY (${query}) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`)
    )
    const { size } = yield* place.files.stat(path).pipe(Effect.mapError(cannot("read", path)))
    aside.add(id)
    yield* place.addPart(path, asidePath(stream, id))
    const { firstMillis, lastMillis } = span
    const file: NewFile = { day, id, bytes: Number(size), rows: rowsChanged, firstMillis, lastMillis }
    return file
  })

  /** Uses a query of the rows of files, which a function makes a new file of. */
  const rewrite = Effect.fnUntraced(function* <A, R>(
    files: { readonly aside: ReadonlyArray<NewFile>; readonly live: ReadonlyArray<PartFile> },
    use: (aside: string, live: string) => Effect.Effect<A, DestinationError, R>
  ) {
    const news = yield* place.localFiles(files.aside.map(({ id }) => [asidePath(stream, id)]))
    const olds = yield* place.localFiles(
      files.live.map((file) => [
        ...(file.from === undefined ? [] : [file.from]),
        placeOf("main", stream, file)
      ])
    )
    return yield* use(reading(news), reading(olds))
  }, Effect.scoped)

  /** What an attempt to commit adds to a manifest, and the live files that it supersedes. */
  interface Change {
    readonly manifest: Omit<ParquetManifest, "files" | "nextPart" | "removed" | "isReplaced">
    readonly added: ReadonlyArray<NewFile>
    readonly removed: ReadonlyArray<PartFile>
  }

  const changed = (latest: ParquetManifest, { added, manifest, removed }: Change): ParquetManifest => {
    const gone = new Set(removed.map(({ part }) => part))
    const files = added.map((file, index) => ({
      ...file,
      part: latest.nextPart + index,
      from: asidePath(stream, file.id)
    }))
    return {
      ...manifest,
      files: [...latest.files.filter(({ part }) => !gone.has(part)), ...files],
      nextPart: latest.nextPart + added.length,
      removed: [...(latest.removed ?? []), ...removed]
    }
  }

  /** Whether the files of an attempt were committed, although the attempt seemed to fail. */
  const wereCommitted = Effect.fnUntraced(function* (
    { files, removed = [] }: ParquetManifest,
    added: ReadonlyArray<NewFile>
  ) {
    const [first] = added
    if (first === undefined) return false
    if ([...files, ...removed].some(({ id }) => id === first.id)) return true
    // Only files that were committed are moved, and only this process removes others.
    if (yield* place.exists(asidePath(stream, first.id))) return false
    yield* place.check
    return true
  })

  /**
   * Commits a change of the latest manifest. `change` is called for each attempt, with that manifest, whose files are in place. If
   * it returns undefined, there is nothing to do. Returns whether something was committed.
   */
  const commit = Effect.fnUntraced(function* <R>(
    change: (latest: ParquetManifest) => Effect.Effect<Change | undefined, DestinationError, R>
  ) {
    let last: ReadonlyArray<NewFile> = []
    let failures = 0
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) {
        const most = Math.min(MOST_PAUSE_MILLIS, PAUSE_MILLIS * attempt)
        yield* Effect.sleep(`${Math.random() * most} millis`)
      }
      const { manifest, version }: Latest = yield* place.latest(stream)
      if (yield* wereCommitted(manifest, last)) {
        yield* place.settle(manifest)
        for (const { id } of last) aside.delete(id)
        return true
      }
      // Another process shuts this one out before anything else, and replaces the manifest before it removes files.
      yield* place.check
      const settled = yield* place.settle(manifest)
      const next = yield* change(settled).pipe(
        // Another process may have moved or superseded a file that was being read.
        Effect.catch((error) =>
          Effect.flatMap(place.latest(stream), (now) =>
            now.version === version && ++failures > MOST_FAILURES
              ? Effect.fail(error)
              : Effect.succeed("again" as const)
          )
        )
      )
      if (next === undefined) return false
      last = next === "again" ? [] : next.added
      if (next === "again") continue
      const saved = changed(settled, next)
      // If this fails, the files may have been committed.
      for (const { id } of last) aside.delete(id)
      const isSaved = yield* place.replace(saved, version)
      if (isSaved) {
        yield* place.settle(saved)
        return true
      }
      for (const { id } of last) aside.add(id)
    }
    return yield* new DestinationError({
      message: `${place.folder}: other processes commit to ${stream} all the time, so this part was not committed after ${ATTEMPTS} attempts. Run again with fewer processes.`
    })
  }, Effect.uninterruptible)

  return {
    write,
    rewrite,
    remove,
    commit,
    /** A time range of files. */
    spanOf: (files: ReadonlyArray<NewFile | PartFile>): TimeSpan => sumOf(files)
  }
})
