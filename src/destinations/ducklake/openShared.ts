/**
 * A DuckLake as the destination of parts, which several processes write at the same time. A commit of a part is one transaction of
 * DuckLake: it reads the stream's manifest, and saves the rows and the manifest with the new state.
 *
 * Commits of all processes take turns by a lock in PostgreSQL, so that they do not fail because of each other. Without it they
 * would still be correct: DuckLake lets only one of two transactions change the table of manifests.
 */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Option, Schedule, Semaphore, Struct } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { DEFAULT_LABEL_COLUMNS, labelColumns } from "../../records/LabelColumns.ts"
import type { SampleBlock } from "../../samples/Sample.ts"
import { overlapWith, type PartResult, withPart } from "../../sync/partState.ts"
import { encodeStreamState, type StreamState } from "../../sync/StreamState.ts"
import { ContentsTally } from "../contents.ts"
import { DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { later, refreshInProgress } from "../manifest.ts"
import type { PartWriter, SharedDestination } from "../SharedDestination.ts"
import type { RunQuery } from "../tables/Dialect.ts"
import {
  loadManifests,
  type Manifest,
  readManifest,
  renameAbout,
  saveManifest,
  tablesOf
} from "../tables/manifests.ts"
import { DATABASE, folded, ownColumns } from "../tables/names.ts"
import { quoteName, quoteText } from "../tables/quoteSql.ts"
import type { Shape } from "../tables/shapes.ts"
import { stageSamples } from "../tables/staging/StagedSamples.ts"
import { DEFAULT_MEMORY_MEGABYTES, divideBytes } from "../tables/startDuckDB.ts"
import { insertUnique } from "../tables/uniqueRows.ts"
import { ducklakeDialect as dialect } from "./ducklakeDialect.ts"
import { isConflict } from "./lakeError.ts"
import { attachLake } from "./openLake.ts"
import { previewCommand } from "./previewCommand.ts"

/** The share of DuckDB's memory for staged samples of all open parts. Beyond it, they spill to the disk. */
const LABELS_PER_MEGABYTE = 1.5

/** How often a commit is tried. Other programs may compact the DuckLake at the same time. */
const ATTEMPTS = 8
const FIRST_WAIT_MILLIS = 50

/** The saved state of a manifest. */
const stateOf = ({ state, stream }: Manifest): StreamState | undefined =>
  refreshInProgress({ stream, refreshState: state })

const wait = (attempt: number): Promise<void> =>
  new Promise((resolve) =>
    setTimeout(resolve, FIRST_WAIT_MILLIS * 2 ** attempt * (0.5 + Math.random()))
  )

/** Opens the DuckLake for parts until the scope closes. */
export const openShared = Effect.fnUntraced(function* (given: OpenOptions) {
  const { memoryMegabytes = DEFAULT_MEMORY_MEGABYTES, path } = given
  const options = { ...given, dialect, memoryMegabytes, readOnly: false }
  const lake = yield* attachLake(options, "shared")
  const { access, attempt, catalog, connect, connection, duckdb } = lake
  const queryOn =
    (own: DuckDBConnection): RunQuery =>
    async (sql) =>
      (await own.runAndReadAll(sql)).getRowsJS()
  const lock = yield* Semaphore.make(1)
  const reading = <A>(body: (runQuery: RunQuery) => Promise<A>) =>
    Effect.andThen(
      access?.renew ?? Effect.void,
      attempt(() => body(queryOn(connection)))
    ).pipe(lock.withPermits(1))
  const nothing = { relations: new Map(), shapes: new Map<string, Shape>() }
  const loadAll = loadManifests(
    options,
    (sql) => reading((runQuery) => runQuery(sql)),
    nothing
  )
  const { manifests } = yield* loadAll
  if (manifests.size === 0) yield* reading((runQuery) => runQuery(renameAbout(options)))
  const stagedBytes = divideBytes(() => (memoryMegabytes * 1_000_000 * 3) / 10)
  /** The tables of streams that this process has seen. */
  const tables = new Map(Array.from(manifests.values(), ({ stream, table }) => [stream, table]))

  const turns = yield* Semaphore.make(1)
  /** Runs a transaction while no other process runs one. It is rolled back, and false, if `body` returns false. */
  const inTurn = (own: DuckDBConnection, body: (runQuery: RunQuery) => Promise<boolean>) =>
    Effect.andThen(
      access?.renew ?? Effect.void,
      attempt(() =>
        catalog.inTurn(async () => {
          for (let tried = 0; ; tried++) {
            try {
              await own.run("BEGIN")
              const isDone = await body(queryOn(own))
              await own.run(isDone ? "COMMIT" : "ROLLBACK")
              return isDone
            } catch (error) {
              await own.run("ROLLBACK").catch(() => {})
              if (tried + 1 >= ATTEMPTS || !isConflict(error)) throw error
              await wait(tried)
            }
          }
        })
      )
    ).pipe(turns.withPermits(1), Effect.uninterruptible)

  /** The latest manifest of a stream in a transaction, and a new one if it has none. */
  const latest = async (runQuery: RunQuery, stream: string) => {
    const found = await readManifest(dialect, runQuery, stream)
    if (found === "damaged") {
      throw new DestinationError({
        message: `${path} is damaged: ${dialect.streamsName} has an entry of ${stream} that this program has not written. Read the stream again without parts: --full-refresh.`
      })
    }
    if (found !== undefined) {
      tables.set(stream, found.table)
      return { manifest: found, isKnown: true }
    }
    const names = await runQuery(`SELECT table_name FROM duckdb_tables() WHERE database_name = '${DATABASE}' AND schema_name = 'main'
      UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = '${DATABASE}' AND schema_name = 'main' AND NOT internal`)
    const foreign = new Set(names.map(([name]) => folded(String(name))))
    const others = await runQuery(`SELECT entry FROM ${dialect.streams}`)
    const taken = new Set(
      others.flatMap(([entry]) => {
        try {
          return tablesOf(JSON.parse(String(entry)) as Manifest).map(folded)
        } catch {
          return []
        }
      })
    )
    const table = dialect.tableName(stream, taken)
    if (foreign.has(folded(table))) {
      throw new DestinationError({
        message: `${path} has a table ${quoteName(table)} that was not created by source-prometheus. Rename it, or choose another catalog.`
      })
    }
    tables.set(stream, table)
    // Of two transactions that add the manifest of one stream, only one may commit.
    await runQuery(`UPDATE ${dialect.about} SET version = version`)
    const manifest: Manifest = {
      version: 1,
      stream,
      table,
      hasTable: false,
      lastMillis: null,
      isUnique: true
    }
    return { manifest, isKnown: false }
  }

  /** The label columns that a table has now. */
  const labelsIn = async (runQuery: RunQuery, table: string): Promise<ReadonlyArray<string>> => {
    const own = new Set(ownColumns(options.labelColumns).map(([name]) => name))
    const rows = await runQuery(
      `SELECT column_name FROM duckdb_columns() WHERE database_name = '${DATABASE}' AND schema_name = 'main'
       AND table_name = ${quoteText(table)} ORDER BY column_index`
    )
    return rows.map(([name]) => String(name)).filter((name) => !own.has(name))
  }

  const openPart = Effect.fnUntraced(function* (stream: string) {
    const own = yield* connect
    const known = yield* reading(async (runQuery) => {
      const found = await readManifest(dialect, runQuery, stream)
      return found === undefined || found === "damaged" || !found.hasTable
        ? []
        : await labelsIn(runQuery, found.table)
    })
    const maxLabels = Math.min(DEFAULT_LABEL_COLUMNS, Math.floor(memoryMegabytes * LABELS_PER_MEGABYTE))
    const labels = options.labelColumns ? labelColumns(known, dialect.columnOf, maxLabels) : undefined
    const staging = stageSamples(duckdb, own, labels)
    const tally = new ContentsTally()
    // Divides the memory among open parts.
    yield* stagedBytes

    const append = async (blocks: ReadonlyArray<SampleBlock>) => {
      for (const block of blocks) {
        if (block.length === 0) continue
        tally.add(block)
        await staging.append(block)
      }
    }

    const commit = Effect.fnUntraced(function* (part: PartResult) {
      staging.mark()
      yield* attempt(staging.flush)
      const { lastMillis, rows } = tally.take()
      return yield* inTurn(own, async (runQuery) => {
        const { isKnown, manifest } = await latest(runQuery, stream)
        if (!manifest.isUnique) {
          throw new DestinationError({
            message: `${stream} in ${path} may have repeated rows, which a run without parts has appended meanwhile. Start this process again.`
          })
        }
        const before = stateOf(manifest)
        const state = withPart(before, part)
        if (state === undefined) return false
        const { next, orphan, table } = manifest
        const run = async (sql: string) => (await own.run(sql)).rowsChanged
        for (const left of [next?.table, orphan]) {
          if (left !== undefined && left !== table) await run(dialect.dropTable(left))
        }
        const there = manifest.hasTable ? await labelsIn(runQuery, table) : undefined
        if (there === undefined) {
          for (const sql of dialect.createTable(table, options.labelColumns, labels?.names ?? [])) await run(sql)
        } else {
          const spellings = new Map(there.map((name) => [folded(name), name]))
          for (const name of labels?.names ?? []) {
            const spelling = spellings.get(folded(name))
            if (spelling === undefined) await run(dialect.addColumn(table, name))
            else if (spelling !== name) {
              throw new DestinationError({
                message: `${stream} has the labels ${name} and ${spelling}, which another process has added at the same time. The part is read again by the next run.`
              })
            }
          }
        }
        if (rows > 0) {
          const overlap = overlapWith(before, part).map(({ firstMillis, lastMillis }) => ({
            first: firstMillis,
            last: lastMillis
          }))
          await insertUnique(run, dialect.qualified(table), staging, overlap)
        }
        const saved: Manifest = {
          ...Struct.omit(manifest, ["next", "orphan", "refreshRows", "refreshState"]),
          state: encodeStreamState(state),
          lastMillis: later(manifest.lastMillis, lastMillis),
          hasTable: true
        }
        await saveManifest(dialect, own, saved, isKnown, false)
        return true
      })
    })

    const writer: PartWriter = {
      write: (blocks) => attempt(() => append(blocks)),
      commit: (part) => Effect.uninterruptible(commit(part))
    }
    return writer
  })

  const partLengths = Effect.fnUntraced(function* (proposed: ReadonlyMap<string, number>) {
    const saved = yield* loadAll
    const lengths = new Map(
      Array.from(saved.manifests.values()).flatMap(({ partMillis, stream }) =>
        partMillis === undefined ? [] : [[stream, partMillis] as const]
      )
    )
    const missing = Array.from(proposed).filter(([stream]) => !lengths.has(stream))
    if (missing.length === 0) return lengths
    const own = yield* connect
    const agreed = new Map<string, number>()
    yield* inTurn(own, async (runQuery) => {
      agreed.clear()
      for (const [stream, partMillis] of missing) {
        const { isKnown, manifest } = await latest(runQuery, stream)
        agreed.set(stream, manifest.partMillis ?? partMillis)
        if (manifest.partMillis === undefined) {
          await saveManifest(dialect, own, { ...manifest, partMillis }, isKnown, false)
        }
      }
      return true
    })
    return new Map([...lengths, ...agreed])
  })

  const service: SharedDestination["Service"] = {
    openPart,
    states: {
      load: (stream) =>
        reading((runQuery) => readManifest(dialect, runQuery, stream)).pipe(
          Effect.mapError(({ message }) => new ConfigError({ message })),
          Effect.map((found) =>
            found === undefined || found === "damaged"
              ? Option.none()
              : Option.fromUndefinedOr(stateOf(found))
          )
        )
    },
    streams: loadAll.pipe(
      Effect.map(({ manifests }) => [...manifests.keys()]),
      Effect.mapError(({ message }) => new DestinationError({ message }))
    ),
    partLengths: (proposed) =>
      Effect.scoped(partLengths(proposed)).pipe(
        Effect.catchTag("ConfigError", ({ message }) => new DestinationError({ message }))
      ),
    bytes: Effect.zipWith(
      reading(async (runQuery) => {
        const [row] = await runQuery(
          `SELECT coalesce(sum(file_size_bytes + coalesce(delete_file_size_bytes, 0)), 0)::DOUBLE FROM ducklake_table_info('${DATABASE}')`
        )
        return Number(row?.[0])
      }),
      catalog.bytes,
      (data, own) => data + own
    ),
    previewCommand: (stream) =>
      previewCommand({ access, catalog }, tables.get(stream) ?? dialect.tableName(stream, new Set()))
  }
  return {
    service,
    /** Streams whose rows must be made unique before parts are written. */
    repeated: Array.from(manifests.values()).flatMap(({ isUnique, stream }) => (isUnique ? [] : [stream]))
  }
})

/** How long several processes that start wait for the one that removes repeated rows. */
export const recoveryRetry = {
  times: 60,
  schedule: Schedule.jittered(Schedule.spaced("500 millis"))
}
