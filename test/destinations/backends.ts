/** The destinations that the files `suite.*.model.test.ts` test. A new one in this list gets all scenarios of `suite.ts`. */
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { Effect, type FileSystem, Layer, type Scope } from "effect"
import type { ConfigError } from "../../src/config/ConnectorConfig.ts"
import type { Destination, DestinationError } from "../../src/destinations/Destination.ts"
import type { OpenOptions as AllOptions } from "../../src/destinations/DestinationKind.ts"
import * as DuckDBFile from "../../src/destinations/duckdb/DuckDBFile.ts"
import * as DuckLake from "../../src/destinations/ducklake/DuckLake.ts"
import { fileName } from "../../src/destinations/folder/fileName.ts"
import * as JsonLinesFolder from "../../src/destinations/jsonl/JsonLinesFolder.ts"
import * as ParquetFolder from "../../src/destinations/parquet/ParquetFolder.ts"
import * as PostgresSchema from "../../src/destinations/postgres/PostgresSchema.ts"
import * as Postgres from "../support/postgres.ts"
import { runs } from "../support/runs.ts"
import { environmentOf } from "../support/s3.ts"
import { S3_DATA, S3_ENDPOINT } from "../support/s3Setup.ts"
import { queryDatabase } from "./duckdb/queryDatabase.ts"
import { runOn } from "./duckdb/steps.ts"
import { failStatements, killBeforeStatement, stopStatements } from "./duckdb/stopStatements.ts"
import { fileLake, postgresLake, type TestLake } from "./lakes.ts"
import { fillStore, killAtCommitOfStore, killBeforeChangeOfStore } from "./stopRequests.ts"
import { fillDisk, killBeforeChange, killBeforeRename, type Stop } from "./stops.ts"

/** A row: its series and time, and its value. */
export interface Row {
  readonly key: string
  readonly value: string
}

export const textOf = ({ key, value }: Row): string => `${key} ${value}`

export const timeOf = ({ key }: Row): number => Date.parse(key.split(" ")[1]!)

export interface OpenOptions {
  readonly source?: string
  readonly labelColumns?: boolean
  readonly kindOf?: AllOptions["kindOf"]
}

/** Damages something of a stream `up` that has been written. */
type Trouble = readonly [damage: (folder: string) => Promise<void> | void, message: RegExp]

/** A destination in a folder. */
export interface TestBackend {
  readonly name: string
  /** Starts the server that it needs, until the scope closes. */
  readonly server?: Effect.Effect<void, unknown, Scope.Scope>
  readonly layer: (
    folder: string,
    options?: OpenOptions
  ) => Layer.Layer<Destination, ConfigError | DestinationError, FileSystem.FileSystem>
  /** Reads the rows of a stream without source-prometheus. */
  readonly rows: (folder: string, stream: string) => Promise<ReadonlyArray<Row>>
  /** The metric and the labels of each row of a group, as `metric {"label":"value"}`. */
  readonly labels: (folder: string, stream: string) => Promise<ReadonlyArray<string>>
  /** Whether deduped mode replaces rows that are read again. Otherwise it refuses them. */
  readonly replacesRows: boolean
  /** Whether other programs can read it during a run. */
  readonly isReadableWhileOpen: boolean
  /** What messages name it, if that is not its folder. */
  readonly nameIn?: (folder: string) => string
  /** Where its files are, if that is not the folder itself. */
  readonly filesOf?: (folder: string) => string
  /** How runs are stopped: before any change, before a commit becomes visible, and by a full disk. */
  readonly stops: { readonly kill: Stop; readonly killAtCommit: Stop; readonly fullDisk: Stop }
  /** Damages of one stream, which a full refresh repairs. */
  readonly troubles: Readonly<Record<string, Trouble>>
  /** The number of random runs of each kind, which take a second by default. */
  readonly runs: number
  /** Whether its statements take so long that CI tests only some moments of a scenario. */
  readonly isSlow?: boolean
}

const about = { source: "http://mock", labelColumns: true }

/** The damages of a stream in a folder, whose data is at `main` and whose first file is at `file`. */
const folderTroubles = (main: string, file: string): TestBackend["troubles"] => {
  const statePath = (folder: string) => join(folder, "_state", "up.json")
  const damaged = /up\.json is damaged/
  return {
    "a removed file": [(folder) => rmSync(join(folder, file)), /is missing/],
    "a removed folder": [(folder) => rmSync(join(folder, main), { recursive: true }), /is missing/],
    "a truncated file": [
      (folder) => truncateSync(join(folder, file), 10),
      /has 10 bytes, but|not the file that/
    ],
    "an empty state": [(folder) => writeFileSync(statePath(folder), ""), damaged],
    "no JSON in the state": [(folder) => writeFileSync(statePath(folder), "{"), damaged],
    "a wrong state": [
      (folder) =>
        writeFileSync(
          statePath(folder),
          readFileSync(statePath(folder), "utf8").replace('"step":60', '"step":"x"')
        ),
      damaged
    ]
  }
}

const folderStops = { kill: killBeforeChange, killAtCommit: killBeforeRename, fullDisk: fillDisk }

const sqlRows = async (database: string, from: string): Promise<ReadonlyArray<Row>> => {
  const rows = await queryDatabase(
    database,
    `SELECT series_id, strftime(time::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') AS time, value FROM ${from}`
  )
  return rows.map((row): Row => ({ key: `${row.series_id} ${row.time}`, value: `${row.value}` }))
}

/** A query for `labels` of a group. */
const labelsFrom = (from: string) => `SELECT metric || ' ' || CAST(labels AS VARCHAR) AS shown FROM ${from}`

const sqlLabels = async (database: string, from: string): Promise<ReadonlyArray<string>> =>
  (await queryDatabase(database, labelsFrom(from))).map(({ shown }) => String(shown))

const databasePath = (folder: string): string => join(folder, "data.duckdb")

const duckdb: TestBackend = {
  name: "duckdb",
  layer: (folder, options) =>
    Layer.unwrap(
      Effect.sync(() => {
        mkdirSync(folder, { recursive: true })
        return DuckDBFile.layer({ ...about, ...options, path: databasePath(folder) })
      })
    ),
  rows: (folder, stream) =>
    sqlRows(databasePath(folder), `"${stream.replaceAll('"', '""')}"`).catch((error: unknown) => {
      if (String(error).includes("does not exist")) return []
      throw error
    }),
  labels: (folder, stream) => sqlLabels(databasePath(folder), `"${stream}"`),
  replacesRows: true,
  isReadableWhileOpen: false,
  stops: {
    kill: killBeforeStatement(""),
    killAtCommit: killBeforeStatement("COMMIT"),
    fullDisk: failStatements(/^\s*(ATTACH|COMMIT|CREATE|INSERT|ALTER|CHECKPOINT)/)
  },
  troubles: {
    "a dropped table": [
      (folder) => runOn(databasePath(folder), "DROP TABLE up"),
      /has no table "up", but .* records are missing/
    ],
    "a damaged manifest": [
      (folder) =>
        runOn(databasePath(folder), "UPDATE _source_prometheus.streams SET entry = '{}' WHERE stream = 'up'"),
      /is damaged: _source_prometheus\.streams has an entry of up that/
    ]
  },
  runs: runs(2, 20)
}

const ducklake = (name: string, lake: TestLake, isFile: boolean): TestBackend => ({
  name,
  layer: (folder, options) =>
    Layer.unwrap(
      Effect.promise(async () =>
        DuckLake.layer({
          ...about,
          ...options,
          path: await lake.place(folder),
          dataPath: lake.dataPath(folder)
        })
      )
    ),
  rows: async (folder, stream) => {
    const from = `lake."${stream.replaceAll('"', '""')}"`
    const select = `SELECT series_id, strftime(time, '%Y-%m-%dT%H:%M:%SZ'), value FROM ${from}`
    try {
      const rows = await lake.query(folder, [select], true)
      return rows.map(([series, time, value]): Row => ({ key: `${series} ${time}`, value: `${value}` }))
    } catch (error) {
      if (/does not exist|not been initialized|non-existing DuckLake|no such file/i.test(String(error)))
        return []
      throw error
    }
  },
  labels: async (folder, stream) => {
    const rows = await lake.query(folder, [labelsFrom(`lake."${stream}"`)], true)
    return rows.map(([shown]) => String(shown))
  },
  replacesRows: true,
  isReadableWhileOpen: !isFile,
  nameIn: isFile ? (folder) => folder : () => "postgres:dbname=lake_",
  stops: {
    // Its data is at absolute paths, so it cannot be copied.
    kill: stopStatements(""),
    killAtCommit: stopStatements("COMMIT"),
    fullDisk: failStatements(/^\s*(ATTACH|COMMIT|CREATE|INSERT|ALTER|CHECKPOINT)/)
  },
  troubles: {
    "a dropped table": [
      async (folder) => void (await lake.query(folder, ["DROP TABLE lake.up"])),
      /has no table "up", but .* records are missing/
    ],
    "a damaged manifest": [
      async (folder) =>
        void (await lake.query(folder, [
          "UPDATE lake._source_prometheus.streams SET entry = '{}' WHERE stream = 'up'"
        ])),
      /is damaged: _source_prometheus\.streams has an entry of up that/
    ]
  },
  runs: runs(1, 2),
  isSlow: true
})

const parquetFiles = (folder: string, stream: string): string =>
  `read_parquet('${join(folder, fileName(stream), "*", "*.parquet")}', union_by_name = true)`

const parquetRows = (folder: string, stream: string): Promise<ReadonlyArray<Row>> => {
  return sqlRows(":memory:", parquetFiles(folder, stream)).catch((error: unknown) => {
    if (String(error).includes("No files found")) return []
    throw error
  })
}

const parquet: TestBackend = {
  name: "parquet",
  layer: (folder, options) => ParquetFolder.layer({ ...about, ...options, path: folder }),
  rows: parquetRows,
  labels: (folder, stream) => sqlLabels(":memory:", parquetFiles(folder, stream)),
  replacesRows: true,
  isReadableWhileOpen: true,
  stops: folderStops,
  troubles: folderTroubles("up", "up/day=2026-01-01/part-00000001.parquet"),
  runs: runs(2, 20)
}

/** The variable with the address of the server, for child processes too. */
const POSTGRES = "TEST_POSTGRES_URL"

/** The schema of a folder has its name, so that errors name it. */
const schemaOf = (folder: string) => `"${folder}"`

/** Runs psql, which prints nothing else than the values. */
const psql = async (sql: string) => (await Postgres.runPsql(process.env[POSTGRES]!, sql)).trimEnd()

const postgres: TestBackend = {
  name: "postgres",
  server: Effect.map(Postgres.make(), (server) => {
    process.env[POSTGRES] = server.urlOf()
  }),
  layer: (folder, options) =>
    Layer.suspend(() =>
      PostgresSchema.layer({ ...about, ...options, path: `${process.env[POSTGRES]}?schema=${folder}` })
    ),
  rows: async (folder, stream) => {
    const lines = await psql(
      `SELECT series_id || ' ' || to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), value
       FROM ${schemaOf(folder)}."${stream.replaceAll('"', '""')}"`
    ).catch((error: unknown) => {
      if (String(error).includes("does not exist")) return ""
      throw error
    })
    return lines
      .split("\n")
      .filter((line) => line !== "")
      .map((line): Row => {
        const [key = "", value = ""] = line.split("|")
        return { key, value }
      })
  },
  labels: async (folder, stream) =>
    (await psql(labelsFrom(`${schemaOf(folder)}."${stream}"`))).split("\n").filter((line) => line !== ""),
  replacesRows: true,
  isReadableWhileOpen: true,
  stops: {
    kill: stopStatements(""),
    killAtCommit: stopStatements("COMMIT"),
    fullDisk: failStatements(
      /^\s*(ATTACH|COMMIT|CREATE|INSERT|ALTER|CALL postgres_execute)/,
      'Failed to execute query: ERROR:  could not extend file "base/5/16384": No space left on device'
    )
  },
  troubles: {
    "a dropped table": [
      async (folder) => void (await psql(`DROP TABLE ${schemaOf(folder)}.up`)),
      /has no table "up", but .* records are missing/
    ],
    "a damaged manifest": [
      async (folder) =>
        void (await psql(
          `UPDATE ${schemaOf(folder)}._source_prometheus_streams SET entry = '{}' WHERE stream = 'up'`
        )),
      /is damaged: _source_prometheus_streams has an entry of up that/
    ]
  },
  runs: runs(1, 2),
  isSlow: true
}

/** The S3 server keeps each object in a file, which is read and damaged there. */
const filesInStore = (folder: string): string => join(process.env[S3_DATA] ?? "", "metrics", folder)

const parquetInS3: TestBackend = {
  name: "parquet in S3",
  layer: (folder, options) =>
    Layer.unwrap(
      Effect.sync(() => {
        Object.assign(process.env, environmentOf(process.env[S3_ENDPOINT] ?? ""))
        return ParquetFolder.layer({ ...about, ...options, path: `s3://metrics${folder}` })
      })
    ),
  rows: (folder, stream) => parquetRows(filesInStore(folder), stream),
  labels: (folder, stream) => sqlLabels(":memory:", parquetFiles(filesInStore(folder), stream)),
  replacesRows: true,
  isReadableWhileOpen: true,
  filesOf: filesInStore,
  stops: { kill: killBeforeChangeOfStore, killAtCommit: killAtCommitOfStore, fullDisk: fillStore },
  troubles: Object.fromEntries(
    Object.entries(folderTroubles("up", "up/day=2026-01-01/part-00000001.parquet")).map(
      ([name, [damage, message]]) => [name, [(folder) => damage(filesInStore(folder)), message]] as const
    )
  ),
  runs: runs(1, 5),
  isSlow: true
}

interface Line {
  readonly data: {
    readonly series_id: string
    readonly time: string
    readonly value: number
    readonly metric?: string
    readonly labels?: object
  }
}

const jsonl = (gzip: boolean): TestBackend => {
  const ending = gzip ? ".jsonl.gz" : ".jsonl"
  const linesOf = (folder: string, stream: string) => {
    const path = join(folder, `${fileName(stream)}${ending}`)
    if (!existsSync(path)) return []
    const bytes = readFileSync(path)
    const lines = (gzip ? gunzipSync(bytes) : bytes).toString().split("\n").slice(0, -1)
    return lines.map((line) => (JSON.parse(line) as Line).data)
  }
  return {
    name: gzip ? "jsonl as gzip" : "jsonl",
    layer: (folder, options) => JsonLinesFolder.layer({ ...about, ...options, path: folder, gzip }),
    rows: async (folder, stream) =>
      linesOf(folder, stream).map(
        ({ series_id, time, value }): Row => ({ key: `${series_id} ${time}`, value: `${value}` })
      ),
    labels: async (folder, stream) =>
      linesOf(folder, stream).map(({ labels, metric }) => `${metric} ${JSON.stringify(labels)}`),
    replacesRows: false,
    isReadableWhileOpen: true,
    stops: folderStops,
    troubles: folderTroubles(`up${ending}`, `up${ending}`),
    runs: runs(4, 50)
  }
}

export const backends: ReadonlyArray<TestBackend> = [
  duckdb,
  ducklake("ducklake in a file", fileLake, true),
  ducklake("ducklake in PostgreSQL", postgresLake, false),
  parquet,
  parquetInS3,
  jsonl(false),
  jsonl(true),
  postgres
]

/** Whether a destination of the list is a DuckLake. */
export const isLake = (name: string): boolean => name.startsWith("ducklake")

/** Whether it is on a server. */
export const isRemote = (name: string): boolean => ["parquet in S3", "postgres"].includes(name)
