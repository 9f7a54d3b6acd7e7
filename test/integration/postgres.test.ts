/** Runs of the built executable into a real PostgreSQL, read by psql. */
import { execFile } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { certificate } from "../support/certificates.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { pointsOf, serve, serveMock } from "../support/mockServer.ts"
import * as Postgres from "../support/postgres.ts"

/** The rows and the distinct rows of a table, as psql prints them. */
const countOf = (server: Postgres.Postgres, table: string) =>
  Effect.promise(async () =>
    (await server.psql(`SELECT count(*), count(DISTINCT (series_id, time)) FROM ${table}`)).trim()
  )

const succeeded = ({ code, stderr }: child.ChildResult): void => assert.strictEqual(code, 0, stderr)

describe("postgres:", () => {
  it.live("writes tables that psql reads, and later runs add to them", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      const files = yield* connector.workspace
      const long = `metric_with_a_name_that_is_longer_than_postgresql_keeps_of_names_${"x".repeat(20)}`
      const series = [
        makeSeries({ __name__: "up", Job: "a\tb\\N", job: "c", ctid: "1", ["l".repeat(70)]: "long" }, [
          [start, 0.1],
          [start + minute, Number.NaN],
          [start + 2 * minute, 1e-310]
        ]),
        ...gauge("Up", 100),
        ...[`${long}_a`, `${long}_b`].flatMap((name) => gauge(name, 3))
      ]
      const to = `postgres:${server.urlOf()}?schema=metrics`
      // Both runs read the same server.
      const { config } = yield* serve(series, 3)
      const runUntil = (minutes: number) =>
        child.run([
          "run",
          ...[
            "--config",
            files.write("c.json", {
              ...config,
              end_date: iso(start + (minutes - 1) * minute)
            })
          ],
          ...["--to", to, "--json"]
        ])
      const first = yield* runUntil(2)
      succeeded(first)
      assert.notInclude(first.stderr, "ERROR")
      succeeded(yield* runUntil(100))
      const rows = yield* Effect.promise(() =>
        server.rows(
          `SELECT to_char(time AT TIME ZONE 'UTC', 'HH24:MI') AS time, value, special_value, "Job" AS job, label_ctid, other_labels::text AS other
           FROM metrics.up_2 ORDER BY 1`
        )
      )
      const same = {
        job: "a\tb\\N",
        label_ctid: "1",
        other: JSON.stringify({ job: "c", ["l".repeat(70)]: "long" })
      }
      assert.deepStrictEqual(rows as unknown, [
        { time: "00:00", value: 0.1, special_value: null, ...same },
        { time: "00:01", value: null, special_value: "NaN", ...same },
        { time: "00:02", value: 1e-310, special_value: null, ...same }
      ])
      assert.strictEqual(yield* countOf(server, `metrics."Up"`), "100|100")
      const tables = yield* Effect.promise(() =>
        server.rows(
          "SELECT tablename FROM pg_tables WHERE schemaname = 'metrics' AND tablename LIKE 'metric%' ORDER BY 1"
        )
      )
      assert.lengthOf(tables, 2)
      for (const { tablename } of tables)
        assert.strictEqual(yield* countOf(server, `metrics."${tablename}"`), "3|3")
      const indexes = yield* Effect.promise(() =>
        server.psql(
          "SELECT DISTINCT regexp_replace(indexdef, '.*USING ', '') FROM pg_indexes WHERE schemaname = 'metrics'"
        )
      )
      assert.strictEqual(indexes.trim(), 'brin ("time")')
      // The command that a person gets.
      const shown = yield* child.run(["run", "--config", files.path("c.json"), "--to", to])
      succeeded(shown)
      const command = /psql -d .*/.exec(shown.stdout + shown.stderr)?.[0]
      assert.isDefined(command)
      const { stdout } = yield* Effect.promise(() => promisify(execFile)("sh", ["-c", command!]))
      assert.match(stdout, /\(\d+ rows\)/)
    }).pipe(Effect.scoped)
  )

  it.live("refuses what it cannot open in sentences, without passwords", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      yield* Effect.promise(() =>
        server.psql(`
          CREATE ROLE reader LOGIN PASSWORD 'right';
          CREATE ROLE writer LOGIN PASSWORD 'right';
          GRANT CREATE ON DATABASE postgres TO writer;
          CREATE SCHEMA foreign_tables; CREATE TABLE foreign_tables.up (n int);
        `)
      )
      const { config } = yield* serve(gauge("up", 3), 3)
      const files = yield* connector.workspace
      const path = files.write("c.json", config)
      const attempt = (to: string, password: string | undefined) =>
        child.run(["run", "--config", path, "--to", to], { env: { PGPASSWORD: password } })
      const at = `127.0.0.1:${server.port}`
      const refusals: ReadonlyArray<readonly [to: string, password: string | undefined, message: RegExp]> = [
        [
          `postgres:postgresql://reader@${at}/postgres`,
          "hunter2",
          /refuses this user: .*password authentication failed.*PGPASSWORD/
        ],
        [`postgres:postgresql://reader@${at}/postgres`, "right", /cannot be used: permission denied.*Grant/],
        [
          `postgres:postgresql://writer:hunter2@${at}/postgres`,
          undefined,
          /has a password, which other users.*PGPASSWORD/
        ],
        [
          `postgres:postgresql://postgres@${at}/nothing`,
          undefined,
          /database "nothing" does not exist\. Create it/
        ],
        [
          "postgres:postgresql://postgres@127.0.0.1:9/postgres",
          undefined,
          /cannot be reached: .*refused\. Check the host/
        ],
        [
          `postgres:postgresql://postgres@${at}/postgres?sslmode=require`,
          undefined,
          /cannot be reached safely: .*SSL.*sslmode/
        ],
        [
          `postgres:service=nowhere`,
          undefined,
          /definition of service "nowhere" not found\. Correct the address, or the service file/
        ],
        [
          `postgres:postgresql://postgres@${at}/postgres?schema=foreign_tables`,
          undefined,
          /has not created it\. Choose another schema/
        ]
      ]
      for (const [to, password, message] of refusals) {
        const { code, stderr, stdout } = yield* attempt(to, password)
        assert.notStrictEqual(code, 0, to)
        assert.match(stderr, message)
        assert.notInclude(stderr + stdout, "hunter2")
      }
      succeeded(
        yield* attempt(
          `postgres:host=127.0.0.1 port=${server.port} dbname=postgres user=writer schema=m`,
          "right"
        )
      )
      assert.strictEqual(yield* countOf(server, "m.up"), "3|3")
      assert.strictEqual(
        yield* Effect.promise(() =>
          server.psql("SELECT count(*) FROM pg_class WHERE relnamespace = 'foreign_tables'::regnamespace")
        ),
        "1\n"
      )
    }).pipe(Effect.scoped)
  )

  it.live("connects as libpq's files, certificates and the settings of a user permit", () =>
    Effect.gen(function* () {
      const authority = certificate({ isAuthority: true, commonName: "Own authority" })
      const server = yield* Postgres.make({ tls: certificate({ issuer: authority, hosts: ["localhost"] }) })
      yield* Effect.promise(() =>
        server.psql(`
          CREATE ROLE writer LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 2;
          GRANT CREATE ON DATABASE postgres TO writer;
          ALTER ROLE writer SET idle_in_transaction_session_timeout = '150ms';
          ALTER ROLE writer SET idle_session_timeout = '150ms';
          ALTER ROLE writer SET client_encoding = 'LATIN1';
          ALTER ROLE writer SET quote_all_identifiers = on;
          ALTER ROLE writer SET standard_conforming_strings = off;
          ALTER ROLE writer SET default_transaction_isolation = serializable;
          ALTER ROLE writer SET extra_float_digits = -5;
          ALTER ROLE writer SET DateStyle = 'German';
          ALTER ROLE writer SET TimeZone = 'Asia/Tokyo';
          CREATE DATABASE western TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
          CREATE ROLE hasty LOGIN SUPERUSER PASSWORD 'hunter2';
          ALTER ROLE hasty SET statement_timeout = '200ms';
          CREATE FUNCTION delay() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN IF current_user = 'hasty' THEN PERFORM pg_sleep(1); END IF; END $$;
          CREATE EVENT TRIGGER delay ON ddl_command_start EXECUTE FUNCTION delay();
          CREATE ROLE reader LOGIN SUPERUSER PASSWORD 'hunter2';
          ALTER ROLE reader SET default_transaction_read_only = on;
          CREATE ROLE nobody LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 0;
        `)
      )
      const labels = { __name__: "up", city: "日本 ü\\'" }
      const points = Array.from({ length: 300 }, (_, n) => [start + n * minute, 0.1 + n / 3] as const)
      const { config } = yield* serve([makeSeries(labels, points)], 300, {
        faults: (request) => (pointsOf(request) > 0 ? { delayMillis: 400 } : undefined)
      })
      const files = yield* connector.workspace
      const path = files.write("c.json", config)
      const file = (name: string, text: string) => {
        writeFileSync(files.path(name), text, { mode: 0o600 })
        return files.path(name)
      }
      const rootCert = file("ca.pem", authority.cert)
      const other = file("other.pem", certificate({ isAuthority: true }).cert)
      const services = file(
        "services.conf",
        `[metrics]\nhost=localhost\nport=${server.port}\ndbname=postgres\nuser=writer\npassword=hunter2\nsslmode=verify-full\nsslrootcert=${rootCert}\n`
      )
      const passwords = file("passwords", "localhost:*:*:*:hunter2\n")
      const at = (user: string, more = "", host = "localhost") =>
        `postgresql://${user}@${host}:${server.port}/postgres?schema=m${more}`
      const attempt = Effect.fnUntraced(function* (
        to: string,
        env: Readonly<Record<string, string>>,
        ...flags: ReadonlyArray<string>
      ) {
        const args = ["run", "--config", path, "--to", `postgres:${to}`, ...flags]
        const result = yield* child.run(args, { env: { PGPASSWORD: undefined, ...env } })
        assert.notInclude(result.stderr + result.stdout, "hunter2")
        return result
      })

      const passfile = { PGPASSFILE: passwords }
      succeeded(yield* attempt("service=metrics schema=m", { PGSERVICEFILE: services }))
      succeeded(
        yield* attempt("schema=m", { PGSERVICEFILE: services, PGSERVICE: "metrics" }, "--part", "0/1")
      )
      const verified = "&sslmode=verify-full&sslrootcert="
      succeeded(yield* attempt(at("writer", verified + rootCert), passfile))
      assert.strictEqual(yield* countOf(server, "m.up"), "300|300")
      const found = yield* Effect.promise(() =>
        server.rows("SELECT city, max(value) AS value, max(time) AS last FROM m.up GROUP BY city")
      )
      assert.deepStrictEqual<unknown>(found, [
        { city: labels.city, value: 0.1 + 299 / 3, last: "2026-01-01T04:59:00+00:00" }
      ])

      const refusals: ReadonlyArray<readonly [to: string, env: Readonly<Record<string, string>>, RegExp]> = [
        [
          at("writer", verified + other),
          passfile,
          /cannot be reached safely: .*verify failed\. Check sslmode/
        ],
        [
          at("writer", verified + rootCert, "127.0.0.1"),
          { PGPASSWORD: "hunter2" },
          /cannot be reached safely: .*does not match host name "127\.0\.0\.1"\. Check/
        ],
        [at("writer", "", "127.0.0.1"), passfile, /refuses this user: .*no password supplied.*password file/],
        [
          "service=metrics",
          { PGSERVICEFILE: "/nowhere" },
          /cannot be opened: service file "\/nowhere" not found\. Correct .*PGSERVICEFILE/
        ],
        [
          at("hasty", "&schema=new"),
          passfile,
          /ended a statement: .*statement timeout\. Raise the server's timeout/
        ],
        [
          at("reader", "&schema=new"),
          passfile,
          /is read-only: .*Write to its primary server, as a user who may write/
        ],
        [
          `dbname=western host=localhost port=${server.port} user=postgres`,
          {},
          /in a database with the encoding LATIN1, .*createdb --encoding=UTF8/
        ],
        [at("nobody"), passfile, /accepts no more connections: .*Close some/]
      ]
      for (const [to, env, message] of refusals) {
        const { code, stderr } = yield* attempt(to, env)
        assert.notStrictEqual(code, 0, to)
        assert.match(stderr, message)
      }
    }).pipe(Effect.scoped)
  )

  it.live("does not wait for a host that accepts connections and says nothing", () =>
    Effect.gen(function* () {
      const silent = createServer(() => {})
      const port = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          await once(silent.listen(0, "127.0.0.1"), "listening")
          return (silent.address() as AddressInfo).port
        }),
        () => Effect.sync(() => silent.close())
      )
      const { config } = yield* serve(gauge("up", 3), 3)
      const files = yield* connector.workspace
      const args = ["run", "--config", files.write("c.json", config)]
      const to = `postgres:postgresql://postgres@127.0.0.1:${port}/postgres`
      const { code, stderr } = yield* child.run([...args, "--to", to], { env: { PGCONNECT_TIMEOUT: "2" } })
      assert.notStrictEqual(code, 0)
      assert.match(stderr, /cannot be reached: .*timeout expired\. Check the host and the port/)
    }).pipe(Effect.scoped)
  )

  it.live("has each row once when the server is restarted in the middle of runs", () =>
    Effect.gen(function* () {
      const server = yield* Postgres.make()
      let isSlow = true
      const names = Array.from({ length: 16 }, (_, index) => `metric_${index}`)
      const mock = new MockPrometheus(makeDatabase(names.flatMap((name) => gauge(name, 200, 5))), {
        lookbackMillis: 1000,
        version: "3.0.0",
        faults: (request) => (isSlow && pointsOf(request) > 0 ? { delayMillis: 300 } : undefined)
      })
      const { config } = yield* serveMock(mock, 200)
      const files = yield* connector.workspace
      const path = files.write("c.json", config)
      /** Restarts the server in the middle of a run. `whileDown`: what happens in between. */
      const disturb = Effect.fnUntraced(function* (
        how: "stop" | "kill",
        flags: ReadonlyArray<string>,
        whileDown: (result: Effect.Effect<unknown>) => Effect.Effect<unknown>
      ) {
        mock.requests.length = 0
        const running = yield* child.start(["run", "--config", path, "--json", ...flags])
        const hasBegun = Effect.gen(function* () {
          while (mock.requests.filter((request) => pointsOf(request) > 0).length < 8) {
            yield* Effect.sleep("20 millis")
          }
        })
        yield* Effect.raceFirst(hasBegun, Effect.asVoid(running.result))
        yield* Effect.promise(() =>
          server.restart(how, () => Effect.runPromise(Effect.asVoid(whileDown(running.result))))
        )
        return yield* running.result
      })
      const rowsIn = (schema: string) =>
        countOf(
          server,
          `(SELECT name || series_id AS series_id, time FROM (${names
            .map((name) => `SELECT '${name}' AS name, series_id, time FROM ${schema}.${name}`)
            .join(" UNION ALL ")}) AS rows) AS counted`
        )

      const to = ["--to", `postgres:${server.urlOf()}`]
      for (const how of ["stop", "kill"] as const) {
        // The run ends although the server is still down.
        const { code, stderr } = yield* disturb(how, to, (result) => result)
        assert.notStrictEqual(code, 0, stderr)
        assert.match(stderr, /(lost the connection|cannot be reached).*(Check|Run again)/)
        assert.notMatch(stderr, /(IO|Binder|Context|Invalid|Catalog) Error|application_name/)
      }
      // Parts are committed again, so they wait for the server.
      const inParts = ["--to", `postgres:${server.urlOf()}?schema=parts`, "--part", "0/1"]
      succeeded(yield* disturb("kill", inParts, () => Effect.sleep("2 seconds")))
      assert.strictEqual(yield* rowsIn("parts"), "16000|16000")

      isSlow = false
      succeeded(yield* child.run(["run", "--config", path, "--json", ...to]))
      assert.strictEqual(yield* rowsIn("prometheus"), "16000|16000")
    }).pipe(Effect.scoped)
  )
})
