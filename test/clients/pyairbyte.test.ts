/** PyAirbyte, used as by a user, loads a real Prometheus into DuckDB with the built connector. */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, inject, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as connector from "../support/connector.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { referenceRecords } from "../support/referenceRecords.ts"
import { configFor, executable, hours, makeServer, script, wrongPassword } from "./fixture.ts"
import { runPython } from "./python.ts"

/** What a call returned or raised. */
interface Outcome {
  readonly returned?: unknown
  readonly raised?: string
  readonly seconds: number
}

interface Report {
  readonly check: Outcome
  readonly streams: ReadonlyArray<string>
  readonly syncs: ReadonlyArray<{
    readonly records: number
    readonly tables: Readonly<Record<string, string>>
  }>
  readonly stopped: Outcome
  readonly wrong_password: Outcome
  readonly wrong_date: Outcome
  readonly failed_read: Outcome
}

/** The second sync continues after the first; the third finds nothing new. */
const ends = [5, 12, 12]

/** One session with PyAirbyte, shared by all tests. */
class Session extends Context.Service<
  Session,
  {
    readonly server: RealPrometheus.RealPrometheus
    readonly report: Report
    /** The rows of all tables after the given sync, counted from 1. */
    readonly rows: (sync: number) => ReadonlyArray<connector.ParsedRecord>
    /** All output, and all files that were left, by name. */
    readonly traces: ReadonlyMap<string, Buffer>
  }
>()("test/clients/Session") {
  static readonly layer = (python: string) =>
    Layer.effect(
      Session,
      Effect.gen(function* () {
        const server = yield* makeServer("storable")
        const files = yield* connector.workspace
        const folder = files.path("")
        const task = files.write("task.json", {
          executable,
          config: configFor(server),
          ends: ends.map(hours),
          wrong_password: wrongPassword
        })
        const { code, stderr, stdout } = yield* runPython(python, folder, [script("pyairbyte_sync.py"), task])
        if (code !== 0) return yield* Effect.die(new Error(`PyAirbyte failed:\n${stdout}\n${stderr}`))
        const left = readdirSync(folder, { recursive: true, encoding: "utf8" })
          .map((name) => join(folder, name))
          .filter((path) => path !== task && statSync(path).isFile())
        const traces = new Map(left.map((path) => [path, readFileSync(path)]))
        traces.set("stdout.log", Buffer.from(stdout)).set("stderr.log", Buffer.from(stderr))
        return Session.of({
          server,
          report: JSON.parse(readFileSync(files.path("report.json"), "utf8")) as Report,
          rows: (sync) =>
            readFileSync(files.path(`rows-${sync}.jsonl`), "utf8")
              .trimEnd()
              .split("\n")
              .map((line) => JSON.parse(line) as connector.ParsedRecord),
          traces
        })
      })
    )
}

/** The server's own samples of all streams, up to so many hours after the start. */
const reference = ({ report, server }: Session["Service"], end: number) =>
  Effect.promise(async () => {
    const all = new Map<string, string>()
    for (const metric of report.streams) {
      const part = await referenceRecords({
        baseUrl: server.baseUrl,
        headers: { Authorization: RealPrometheus.basicAuthHeader },
        metric,
        start: Date.parse(hours(0)) / 1000,
        end: Date.parse(hours(end)) / 1000,
        step: 60
      })
      for (const [key, value] of part) all.set(key, value)
    }
    return all
  })

/**
 * Whether a value in PyAirbyte's database equals the server's. The columns are DECIMAL(38, 9), so only nine decimal
 * places are kept, and DuckDB converts with the precision of a 64-bit float.
 */
const isSameValue = (actual: string | undefined, expected: string): boolean => {
  if (actual === undefined) return false
  if (actual === expected) return true
  if (/^[{NIi+]|Inf$/.test(expected)) return false
  const wanted = Number(expected)
  return Math.abs(Number(actual) - wanted) <= Math.max(5.000001e-10, Math.abs(wanted) * 2 ** -51)
}

const python = inject("python")

describe.runIf(python !== undefined)("PyAirbyte", () => {
  layer(Session.layer(python ?? ""), { timeout: 300_000 })((it) => {
    it.effect("checks the connection and discovers the streams", () =>
      Effect.gen(function* () {
        const { report } = yield* Session
        assert.isUndefined(report.check.raised)
        assert.deepStrictEqual(report.streams, [
          "awkward_names",
          "awkward_values",
          "job:requests:rate5m",
          "latency",
          "lonely",
          "requests_total",
          "unusual"
        ])
      })
    )

    it.effect.each([1, 2, 3])("has exactly the server's samples in DuckDB after sync %i", (sync) =>
      Effect.gen(function* () {
        const session = yield* Session
        const expected = yield* reference(session, ends[sync - 1]!)
        // Throws if a row occurs twice.
        const actual = connector.byKey(session.rows(sync))
        const missing = [...expected].filter(([key]) => !actual.has(key))
        const surplus = [...actual].filter(([key]) => !expected.has(key))
        const different = [...expected]
          .filter(([key, value]) => actual.has(key) && !isSameValue(actual.get(key), value))
          .map(([key, value]) => [key, value, actual.get(key)])
        assert.deepStrictEqual(
          { missing: missing.slice(0, 3), surplus: surplus.slice(0, 3), different: different.slice(0, 3) },
          { missing: [], surplus: [], different: [] }
        )
        assert.strictEqual(actual.size, expected.size)
        assert.isAbove(actual.size, sync === 1 ? 1500 : 2500)
      })
    )

    it.effect("reads only new data in each sync", () =>
      Effect.gen(function* () {
        const { report, rows } = yield* Session
        const counts = report.syncs.map(({ records }) => records)
        assert.deepStrictEqual(counts, [rows(1).length, rows(2).length - rows(1).length, 0])
      })
    )

    it.effect("stores every series and time once", () =>
      Effect.gen(function* () {
        const keys = (yield* Session).rows(3).map(({ data }) => `${data.series_id} ${data.time}`)
        assert.strictEqual(new Set(keys).size, keys.length)
      })
    )

    it.effect("stops the connector early without an error", () =>
      Effect.gen(function* () {
        const { stopped } = (yield* Session).report
        assert.strictEqual(stopped.returned, 5, stopped.raised)
        // PyAirbyte kills a process that still runs after 10 s, and then reports a failure.
        assert.isBelow(stopped.seconds, 9)
      })
    )

    it.effect("reports what is wrong", () =>
      Effect.gen(function* () {
        const { report, server, traces } = yield* Session
        const { failed_read, wrong_date, wrong_password } = report
        assert.include(wrong_password.raised, "AirbyteConnectorCheckFailedError")
        assert.include(wrong_password.raised, `${server.baseUrl}/api/v1/query returned HTTP 401`)
        assert.include(wrong_password.raised, "Check basic_auth_user, basic_auth_pass")
        assert.include(wrong_date.raised, 'start_date is "yesterday"')
        assert.include(failed_read.raised, "Exit Code: 1")
        assert.match(String(traces.get("stderr.log")), /ERROR: .*HTTP 401/)
      })
    )

    it.effect("never shows a secret", () =>
      Effect.gen(function* () {
        const { traces } = yield* Session
        const secrets = [RealPrometheus.basicAuthPassword, wrongPassword]
        const encoded = secrets.flatMap((secret) => [
          secret,
          JSON.stringify(secret).slice(1, -1),
          encodeURIComponent(secret),
          Buffer.from(`${RealPrometheus.basicAuthUser}:${secret}`).toString("base64")
        ])
        assert.isAbove(traces.size, 6)
        for (const secret of encoded) {
          assert.deepStrictEqual(
            [...traces].filter(([, trace]) => trace.includes(secret)).map(([path]) => path),
            []
          )
        }
      })
    )

    it.effect("decodes every message", () =>
      Effect.gen(function* () {
        const { traces } = yield* Session
        const logs = [...traces].filter(([path]) => path.endsWith(".log")).map(([, log]) => String(log))
        // It logs lines unchanged if it cannot decode them, or if they are errors.
        const raw = logs.join("\n").match(/^[^{]*\{"type":"(?!TRACE","trace":\{"type":"ERROR").*$/gm)
        assert.isAbove(logs.length, 6)
        assert.isNull(raw)
      })
    )
  })
})
