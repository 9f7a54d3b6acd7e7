/** Runs of the built executable into DuckLakes, read by the DuckDB of Python. */
import { execFile } from "node:child_process"
import { chmodSync, existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import * as Postgres from "../support/postgres.ts"
import { runInPython } from "../support/pythonDuckdb.ts"
import * as S3 from "../support/s3.ts"

const succeeded = ({ code, stderr }: child.ChildResult): void => assert.strictEqual(code, 0, stderr)

/** The number of rows that the command shows which a run prints. Another client of DuckDB runs it, without installing extensions. */
const runPreview = Effect.fnUntraced(function* (files: connector.Workspace, printed: string) {
  const command = /duckdb -c .*/.exec(printed)?.[0]
  assert.isDefined(command, printed)
  const program = files.write("duckdb", "")
  files.write("duckdb", '#!/bin/sh\nprintf "%s" "$2"\n')
  chmodSync(program, 0o755)
  const { stdout } = yield* Effect.promise(() =>
    promisify(execFile)("sh", ["-c", command!], { env: { PATH: `${files.path(".")}:${process.env.PATH}` } })
  )
  const statements = stdout
    .split("; ")
    .map((sql) => sql.replace(/^INSTALL postgres$/, "INSTALL postgres_scanner").replace(/^INSTALL /, "LOAD "))
  // Python needs another package for times with zones.
  const counted = statements.with(-1, `SELECT count(*) FROM (${statements.at(-1)})`)
  const [row] = yield* Effect.promise(() => runInPython(counted))
  return row?.[0]
})

describe("ducklake:", () => {
  it.live("has its catalog in a file and its data in a folder, also after kills, and refuses others", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      let delayMillis = 200
      const { config, mock } = yield* serve(gauge("up", 1500, 20), 1000, {
        faults: ({ path }) => (path.endsWith("/query_range") ? { delayMillis } : undefined)
      })
      const catalog = files.path("it's a lake.ducklake")
      const data = files.path("data of it")
      const runUntil = (minutes: number, ...args: ReadonlyArray<string>) => [
        ...["run", "--to", `ducklake:${catalog}`, "--config"],
        files.write(`c${minutes}.json`, { ...config, end_date: iso(start + (minutes - 1) * minute) }),
        ...args
      ]
      const read = (sql: string) =>
        Effect.promise(() =>
          runInPython([
            "LOAD ducklake",
            `ATTACH 'ducklake:${catalog.replaceAll("'", "''")}' AS lake (READ_ONLY)`,
            sql
          ])
        )
      const count = read(
        "SELECT count(*), count(DISTINCT (series_id, time)), sum(value)::BIGINT, count(DISTINCT n) FROM lake.up"
      )
      const first = runUntil(1000, "--data-path", data, "--json")
      for (let kill = 0; kill < 2; kill++) {
        const before = mock.requests.length
        yield* Effect.scoped(
          Effect.gen(function* () {
            const running = yield* child.start(first)
            let hasEnded = false
            running.process.once("exit", () => (hasEnded = true))
            while (!hasEnded && mock.requests.length < before + 3 + kill) yield* Effect.sleep("5 millis")
            if (kill === 0) {
              const second = yield* child.run(first)
              assert.notStrictEqual(second.code, 0)
              assert.match(second.stderr, /it's a lake\.ducklake is (in use|being)/)
            }
            running.kill("SIGKILL")
            yield* running.result
          })
        )
        delayMillis = 20
      }
      succeeded(yield* child.run(first))
      const sumOf = (minutes: number) =>
        20 * ((minutes * (minutes - 1)) / 2) + (minutes * ((20 * 19) / 2)) / 8
      assert.deepStrictEqual(yield* count, [[20_000, 20_000, sumOf(1000), 20]])
      assert.isAbove(readdirSync(join(data, "main", "up")).length, 0)
      // The place of the data is in the catalog.
      const later = yield* child.run(runUntil(1500))
      succeeded(later)
      assert.deepStrictEqual(yield* count, [[30_000, 30_000, sumOf(1500), 20]])
      assert.strictEqual<unknown>(yield* runPreview(files, later.stdout + later.stderr), 10)
      succeeded(yield* child.run(runUntil(1000, "--full-refresh", "--yes", "--json")))
      assert.deepStrictEqual(yield* count, [[20_000, 20_000, sumOf(1000), 20]])

      const moved = yield* child.run(runUntil(1000, "--data-path", files.path("elsewhere")))
      assert.notStrictEqual(moved.code, 0)
      assert.match(moved.stderr, /The data of .* is at .*data of it\/, and --data-path is .*\. Leave it out/)
      const parts = yield* child.run(runUntil(1000, "--part", "0/2"))
      assert.notStrictEqual(parts.code, 0)
      assert.match(
        parts.stderr,
        /is a catalog in a file, which DuckDB locks for one process.*ducklake:postgres:/
      )
      assert.isFalse(existsSync(files.path("elsewhere")))
    }).pipe(Effect.scoped)
  )

  it.live("has its catalog in PostgreSQL and its data in S3, in parts too, with secrets nowhere", () =>
    Effect.gen(function* () {
      const password = "pass+word'of=tests"
      const [server, store] = yield* Effect.all([Postgres.make(), S3.make()], { concurrency: 2 })
      yield* Effect.promise(async () => {
        await server.psql(`CREATE ROLE writer LOGIN PASSWORD '${password.replaceAll("'", "''")}'`)
        await server.psql("CREATE DATABASE lake OWNER writer")
      })
      const files = yield* connector.workspace
      const { config } = yield* serve(gauge("up", 600, 5), 600)
      const env = { ...store.environment, PGPASSWORD: password }
      const address = `postgres:dbname=lake host=127.0.0.1 port=${server.port} user=writer`
      const argumentsOf = (minutes: number, ...args: ReadonlyArray<string>) => [
        ...["run", "--to", `ducklake:${address}`, "--config"],
        files.write(`c${minutes}.json`, { ...config, end_date: iso(start + (minutes - 1) * minute) }),
        ...args
      ]
      const outputs: Array<string> = []
      const run = (args: ReadonlyArray<string>, more: child.ChildOptions["env"] = {}) =>
        Effect.tap(child.run(args, { env: { ...env, ...more } }), ({ stderr, stdout }) =>
          Effect.sync(() => outputs.push(stdout, stderr))
        )
      const nowhere = yield* run(argumentsOf(200))
      assert.match(
        nowhere.stderr,
        /has no DuckLake yet, and a new one needs a place for its data: --data-path/
      )
      const place = ["--data-path", "s3://metrics/the lake/1"]
      const wrong = yield* run(argumentsOf(200, ...place), { AWS_SECRET_ACCESS_KEY: "wrong-secret" })
      assert.match(wrong.stderr, /the signature is wrong/)
      const refused = yield* run(argumentsOf(200, ...place), { PGPASSWORD: "wrong-secret" })
      assert.match(refused.stderr, /password authentication failed.*PGPASSWORD/s)
      for (const { code } of [nowhere, wrong, refused]) assert.notStrictEqual(code, 0)

      const first = yield* run(argumentsOf(200, ...place))
      succeeded(first)
      const divided = yield* Effect.forEach(
        [0, 1, 2],
        (part) => run(argumentsOf(600, "--part", `${part}/3`, "--part-length", "1h", "--json")),
        { concurrency: "unbounded" }
      )
      divided.forEach(succeeded)
      succeeded(yield* run(argumentsOf(600, "--json")))
      const [keyId, secret, region] = [S3.s3Keys.accessKeyId, S3.s3Keys.secretAccessKey, S3.s3Region]
      const rows = yield* Effect.promise(() =>
        runInPython(
          [
            ...["ducklake", "postgres_scanner", "httpfs"].map((name) => `LOAD ${name}`),
            `CREATE SECRET (TYPE s3, KEY_ID '${keyId}', SECRET '${secret}', REGION '${region}', ENDPOINT '${new URL(store.endpoint).host}', USE_SSL false, URL_STYLE 'path')`,
            `ATTACH 'ducklake:${address}' AS lake (READ_ONLY)`,
            "SELECT count(*), count(DISTINCT (series_id, time)), min(value), max(value), count(DISTINCT n) FROM lake.up"
          ],
          env
        )
      )
      assert.deepStrictEqual(rows as unknown, [[3000, 3000, 0, 599.5, 5]])
      assert.strictEqual<unknown>(yield* runPreview(files, first.stdout + first.stderr), 10)
      // The rows of parts are in the bucket, and no key is in the catalog.
      const objects = readdirSync(join(store.data, "metrics", "the lake", "1", "main", "up"))
      assert.isAbove(objects.filter((name) => name.startsWith("source-prometheus-")).length, 4)
      const [saved] = yield* Effect.promise(() =>
        server.rows(
          "SELECT string_agg(query_to_xml(format('TABLE %I', tablename), true, false, '')::text, '') AS all FROM pg_tables WHERE schemaname = 'public'",
          "lake"
        )
      )
      assert.include(saved?.all, "s3://metrics/the lake/1")
      for (const hidden of [password, secret, "wrong-secret"]) {
        assert.notInclude(outputs.join(""), hidden)
        assert.notInclude(saved?.all, hidden)
      }
    }).pipe(Effect.scoped)
  )
})
