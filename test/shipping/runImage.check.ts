/** What people at a command line and Kubernetes expect of the image with DuckDB. */
import { chmodSync, existsSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import { ensurePostgres, ensureS3Server } from "../support/binaries.ts"
import * as connector from "../support/connector.ts"
import { ensureExtensions } from "../support/duckdbExtensions.ts"
import { gauge } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import * as Postgres from "../support/postgres.ts"
import * as S3 from "../support/s3.ts"
import * as container from "./container.ts"
import * as dockerfile from "./dockerfile.ts"
import { filesOf, isWritableBy, sizeOf } from "./files.ts"

const image = container.runImage
const program = "/usr/local/lib/source-prometheus"
const { Cmd, Entrypoint, Env, Labels, User, WorkingDir } = image.config

describe("the image with DuckDB", () => {
  it("is the Dockerfile's", () => {
    assert.deepStrictEqual([Entrypoint, Cmd ?? []], [dockerfile.run.entrypoint, []])
    assert.deepStrictEqual([User, WorkingDir], [dockerfile.run.user, dockerfile.run.workingFolder])
    assert.strictEqual(Labels["org.opencontainers.image.version"], packageJson.version)
    // It is no connector of Airbyte, which has an image of its own.
    assert.notProperty(Labels, "io.airbyte.name")
    assert.include(Env, "HOME=/home/airbyte")
  })

  it("adds DuckDB to the connector's program, for the image's processor only, and nothing else", () => {
    const before = filesOf(container.base)
    // Only of the program: other tests mount folders in the connector's containers.
    const own = [...filesOf(container.connectorImage.root)].filter(([path]) => path.startsWith(program))
    const after = filesOf(image.root)
    const known = new Set([...before.keys(), ...own.map(([path]) => path)])
    const added = [...after.keys()].filter(
      (path) => !known.has(path) && !known.has(path.replace("/home/airbyte", "/home/node"))
    )
    const modules = `${program}/node_modules`
    assert.deepStrictEqual(
      added.filter((path) => !path.startsWith(`${modules}/`)),
      ["/data", modules, "/var/lib/duckdb"]
    )
    assert.deepStrictEqual(
      added.filter((path) => /node_modules(\/@duckdb)?\/[^/@]+$/.test(path)).sort(),
      [
        `${modules}/@duckdb/node-api`,
        `${modules}/@duckdb/node-bindings`,
        `${modules}/@duckdb/node-bindings-linux-${process.arch}`,
        `${modules}/detect-libc`
      ].sort()
    )
    for (const [path] of own) assert.isTrue(after.has(path), path)
    assert.isBelow(sizeOf(after) - sizeOf(before) - sizeOf(new Map(own)), 80e6)
  })

  it("lets everybody write to the working folder and the home, and nothing else", () => {
    for (const user of [1000, 4711]) {
      const writable = [...filesOf(image.root)]
        .filter(([, stats]) => !stats.isSymbolicLink() && isWritableBy(user, stats))
        .map(([path]) => path)
        .filter((path) => !/^\/(dev|proc|sys|home\/airbyte)\//.test(path))
      assert.sameMembers(writable, [
        "/data",
        "/home/airbyte",
        "/var/lib/duckdb",
        "/tmp",
        "/var/tmp",
        "/run/lock"
      ])
    }
  })
})

describe("a container with DuckDB", () => {
  const SERIES = 3
  const MINUTES = 100

  const source = Effect.gen(function* () {
    const { config } = yield* serve(gauge("up", MINUTES, SERIES), MINUTES)
    const files = yield* connector.workspace
    // The folders of tests are their user's alone.
    chmodSync(files.path(""), 0o777)
    const range = ["--start", config.start_date, "--end", config.end_date, "--step", "1m"]
    return { files, run: [...Entrypoint, "run", "--url", config.base_url, ...range] }
  })

  const query = (path: string, sql: string) => Effect.promise(() => queryDatabase(path, sql))

  const totals = `count(*)::INT AS "rows", count(DISTINCT series_id)::INT AS series, count(DISTINCT (series_id, time))::INT AS points`
  const expected = [{ rows: SERIES * MINUTES, series: SERIES, points: SERIES * MINUTES }]

  for (const user of ["1000:1000", "4711:4711", "4711:0", "0:0"]) {
    it.live(`as the user ${user} writes a mounted folder, with nothing else to write to but /tmp`, () =>
      Effect.gen(function* () {
        const { files, run } = yield* source
        const options = { user, mounts: { [files.path("")]: "/data" } }
        const duckdb = yield* container.run(image, [...run, "--to", "duckdb:/data/x.duckdb"], options)
        assert.strictEqual(duckdb.code, 0, duckdb.stderr)
        assert.deepStrictEqual(yield* query(files.path("x.duckdb"), `SELECT ${totals} FROM up`), expected)
        // Relative paths are those of the working folder.
        const parquet = yield* container.run(image, [...run, "--to", "parquet:metrics"], options)
        assert.strictEqual(parquet.code, 0, parquet.stderr)
        const parts = files.path("metrics/up/*/*.parquet")
        assert.deepStrictEqual(
          yield* query(":memory:", `SELECT ${totals} FROM read_parquet('${parts}')`),
          expected
        )
        const again = yield* container.run(image, [...run, "--to", "duckdb:x.duckdb"], options)
        assert.strictEqual(again.code, 0, again.stderr)
        assert.deepStrictEqual(yield* query(files.path("x.duckdb"), `SELECT ${totals} FROM up`), expected)
      })
    )
  }

  it.live(
    "writes its working folder without a mounted one, as any user, and where DuckDB installs extensions",
    () =>
      Effect.gen(function* () {
        const { run } = yield* source
        for (const user of ["1000:1000", "4711:4711"]) {
          const name = `written-${user.split(":")[0]}`
          const options = { user, writable: true }
          const ran = yield* container.run(image, [...run, "--to", `duckdb:${name}.duckdb`], options)
          assert.strictEqual(ran.code, 0, ran.stderr)
          assert.isTrue(existsSync(join(image.root, "data", `${name}.duckdb`)))
          const folders = 'mkdir "$DUCKDB_EXTENSION_DIRECTORY/$0" "$HOME/$0"'
          const wrote = yield* container.run(image, ["sh", "-c", folders, name], options)
          assert.deepStrictEqual([wrote.code, wrote.stderr], [0, ""])
          for (const folder of ["var/lib/duckdb", "home/airbyte"]) {
            assert.isTrue(existsSync(join(image.root, folder, name)), folder)
          }
        }
      })
  )

  it.live("writes into PostgreSQL, a DuckLake and S3, with extensions of DuckDB from a mounted folder", () =>
    Effect.gen(function* () {
      const { files, run } = yield* source
      const extensions = yield* Effect.promise(ensureExtensions)
      yield* Effect.promise(ensurePostgres)
      yield* Effect.promise(ensureS3Server)
      const database = yield* Postgres.make()
      const s3 = yield* S3.make()
      const rows = `${SERIES * MINUTES} new rows of ${SERIES} series in 1 stream`
      for (const to of [
        `postgres:${database.urlOf()}`,
        "ducklake:lake.ducklake",
        "parquet:s3://metrics/prefix"
      ]) {
        const variables = Object.entries(s3.environment).map((pair) => pair.join("="))
        const ran = yield* container.run(image, ["/usr/bin/env", ...variables, ...run, "--to", to], {
          user: "4711:4711",
          mounts: { [files.path("")]: "/data", [extensions]: "/var/lib/duckdb" }
        })
        assert.strictEqual(ran.code, 0, ran.stderr)
        assert.include(ran.stdout, rows)
      }
      const counted = yield* Effect.promise(() => database.psql("SELECT count(*) FROM prometheus.up"))
      assert.strictEqual(counted.trim(), `${SERIES * MINUTES}`)
    })
  )
})
