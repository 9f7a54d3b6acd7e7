/**
 * A DuckLake as the destination of parts, which several processes write at the same time.
 *
 * A part is committed in one transaction of DuckLake, which also changes the stream's row in the table of manifests. DuckLake lets
 * only one of two transactions change that table, and the other one is tried again. So the rows of a part are in a file before its
 * transaction begins.
 */
import { Effect, Option } from "effect"
import { ConfigError } from "../../config/ConnectorConfig.ts"
import { DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import { partLengthsOf, sharedStreams } from "../manifest.ts"
import type { SharedDestination } from "../SharedDestination.ts"
import { loadManifests, type Manifest, saveManifest } from "../tables/manifests.ts"
import { DATABASE } from "../tables/names.ts"
import type { Shape } from "../tables/shapes.ts"
import { DEFAULT_MEMORY_MEGABYTES } from "../tables/startDuckDB.ts"
import { openDataFiles } from "./dataFiles.ts"
import { ducklakeDialect as dialect } from "./ducklakeDialect.ts"
import { attachLake } from "./openLake.ts"
import { openPart, stateOf } from "./openPart.ts"
import { newManifests, savedManifest } from "./prepareTable.ts"
import { previewCommand } from "./previewCommand.ts"
import { shareLake } from "./SharedLake.ts"

/** The tables do not matter, but for the manifests of runs. */
const noTables = { relations: new Map(), shapes: new Map<string, Shape>() }

/** Opens the DuckLake for parts until the scope closes. */
export const openShared = Effect.fnUntraced(function* (given: OpenOptions) {
  const { memoryMegabytes = DEFAULT_MEMORY_MEGABYTES } = given
  const options = { ...given, dialect, memoryMegabytes, readOnly: false }
  const lake = yield* shareLake(options, yield* attachLake(options, "shared"))
  const { access, catalog } = lake
  const files = yield* openDataFiles(lake)
  /** The tables of streams that this process has seen. */
  const tables = new Map<string, string>()
  const load = loadManifests(options, (sql) => lake.query((runQuery) => runQuery(sql)), noTables).pipe(
    Effect.map(({ manifests }) => {
      for (const { stream, table } of manifests.values()) tables.set(stream, table)
      return manifests
    })
  )
  const reload = Effect.catchTag(load, "ConfigError", ({ message }) => new DestinationError({ message }))
  const manifests = yield* load

  const partLengths = Effect.fnUntraced(function* (proposed: ReadonlyMap<string, number>) {
    const saved = partLengthsOf({ manifests: yield* reload })()
    const missing = Array.from(proposed).filter(([stream]) => !saved.has(stream))
    if (missing.length === 0) return saved
    const own = yield* lake.connect
    const agreed = yield* lake.transact(own, "the length of parts", async (transaction) => {
      const add = newManifests(lake, transaction)
      const lengths = new Map<string, number>()
      for (const [stream, partMillis] of missing) {
        const found = await savedManifest(lake, transaction.runQuery, stream)
        const manifest: Manifest = found ?? (await add(stream))
        lengths.set(stream, manifest.partMillis ?? partMillis)
        if (manifest.partMillis === undefined) {
          await saveManifest(dialect, own, { ...manifest, partMillis }, found !== undefined, false)
        }
      }
      return { result: lengths, isDone: true }
    })
    return new Map([...saved, ...agreed])
  })

  const service: SharedDestination["Service"] = {
    openPart: (stream) => openPart(lake, files, stream),
    states: {
      load: (stream) =>
        lake
          .query((runQuery) => savedManifest(lake, runQuery, stream))
          .pipe(
            Effect.map((found) => {
              if (found !== undefined) tables.set(stream, found.table)
              return Option.fromUndefinedOr(stateOf(found))
            }),
            Effect.mapError(({ message }) => new ConfigError({ message }))
          )
    },
    streams: Effect.map(reload, (manifests) => sharedStreams(manifests.values())),
    partLengths: (proposed) => Effect.scoped(partLengths(proposed)),
    bytes: Effect.zipWith(
      lake.query(async (runQuery) => {
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
    /** The manifests of streams whose rows must be made unique before parts are written. Tables have no parts. */
    repeated: Array.from(manifests.values()).filter(({ isUnique, kind }) => !isUnique && kind !== "table")
  }
})
