/**
 * The built executable against a server whose time, names or numbers are wrong, or which is reached in an unsafe way: what
 * users see in each command.
 */
import { readFileSync } from "node:fs"
import type { IncomingMessage, ServerResponse } from "node:http"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import { addressOf, clockJson, send, serveRaw } from "../support/rawServer.ts"
import * as rules from "./rules.ts"

interface Lies {
  /** The server's clock, in seconds. */
  readonly clock?: () => number
  /** The time in the Date header of its responses. */
  readonly date?: () => Date
  /** The contents of its lists of names, as JSON. */
  readonly names?: string
  /** The value at each point. */
  readonly value?: (query: string) => string
  /** Responds itself, or returns false. */
  readonly own?: (path: string, response: ServerResponse) => boolean
}

const MINUTES = 5

/** A server with one series per metric, and a sample at each point of five minutes. */
const serve = (lies: Lies = {}) => {
  const {
    clock = () => Date.now() / 1000,
    date,
    names = '["m"]',
    own = () => false,
    value = () => "1"
  } = lies
  return serveRaw((request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = addressOf(request)
    if (date !== undefined) response.setHeader("date", date().toUTCString())
    if (own(pathname, response)) return
    const query = searchParams.get("query") ?? ""
    const metric = /="(\w+)"/.exec(query)?.[1] ?? ""
    if (pathname.endsWith("/query")) send(response, [clockJson(`${clock()}`)])
    else if (pathname.endsWith("/metadata")) send(response, ['{"status":"success","data":{}}'])
    else if (pathname.endsWith("/query_range")) {
      const [first, last, step] = ["start", "end", "step"].map((name) => Number(searchParams.get(name)))
      const values: Array<string> = []
      for (let time = first!; time <= last!; time += step!) {
        if (time * 1000 < start || time * 1000 >= start + MINUTES * minute) continue
        values.push(`[${time},"${value(query)}"]`)
      }
      const series = `{"metric":{"__name__":"${metric}"},"values":[${values}]}`
      send(response, [`{"status":"success","data":{"resultType":"matrix","result":[${series}]}}`])
    } else if (pathname.endsWith("/__name__/values")) send(response, [`{"status":"success","data":${names}}`])
    else send(response, ['{"status":"success","data":["__name__"]}'])
  })
}

const configOf = (base_url: string, more: object = {}) => ({
  base_url,
  start_date: iso(start),
  step: 60,
  settle_delay: 0,
  max_retries: 0,
  request_timeout: 30,
  ...more
})

const bounded = { end_date: iso(start + (MINUTES - 1) * minute) }

const warningsOf = ({ logs }: connector.Output): ReadonlyArray<string> =>
  logs.filter((log) => log.startsWith("WARN ")).map((log) => log.slice("WARN ".length))

const connectionStatusOf = ({ messages }: connector.Output) =>
  (
    messages.find(({ type }) => type === "CONNECTION_STATUS") as unknown as {
      readonly connectionStatus: { readonly status: string; readonly message?: string }
    }
  ).connectionStatus

const decade = 10 * 365 * 86_400
const inTenYears = () => Math.floor(Date.now() / 1000) + decade

describe("a clock ten years ahead", { concurrent: true }, () => {
  it.live("fails a check, and does not move the state of a sync to that time", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const config = configOf(yield* serve({ clock: inTenYears }), { step: 86_400 })
      const path = files.write("config.json", config)
      const problem =
        /^The clock of http:\S+ shows 20[34]\d-\S+, more than a day ahead of the Date header of its response \(20\S+\) and ahead of this machine's clock \(20\S+\)\. Samples are read only up to/

      const checked = connectionStatusOf(yield* rules.verb(["check", "--config", path]))
      assert.strictEqual(checked.status, "FAILED")
      assert.match(checked.message!, problem)
      const forPerson = yield* child.run(["check", "--human", "--config", path])
      assert.strictEqual(forPerson.code, 1)
      assert.match(forPerson.stderr, /The clock of http:\S+ shows 20[34]/)

      const read = yield* rules.read(files, config, connector.catalogOf("m"))
      assert.strictEqual(read.code, 0)
      assert.lengthOf(warningsOf(read), 1)
      assert.match(warningsOf(read)[0]!, problem)
      const end = Date.parse(read.states.at(-1)!.stream.stream_state.time as string)
      assert.closeTo(end, Date.now(), 2 * 86_400_000)

      const ran = yield* child.run(["run", "--config", path, "--to", `jsonl:${files.path("out")}`, "--json"])
      assert.strictEqual(ran.code, 0, ran.stderr)
      assert.lengthOf(ran.stderr.match(/The clock of http:\S+ shows 20[34]/g) ?? [], 1)
    })
  )

  it.live("on the entire machine causes a warning in each sync, and later syncs name the states", () =>
    Effect.gen(function* () {
      let isWrong = true
      const clock = () => (isWrong ? inTenYears() : Date.now() / 1000)
      const files = yield* connector.workspace
      const base = yield* serve({ clock, date: () => new Date(clock() * 1000) })
      const config = configOf(base, { step: 86_400 })
      const checked = connectionStatusOf(
        yield* rules.verb(["check", "--config", files.write("config.json", config)])
      )
      assert.strictEqual(checked.status, "FAILED")
      const catalog = connector.catalogOf("m")
      const first = yield* rules.read(files, config, catalog)
      assert.match(
        warningsOf(first).join("\n"),
        /^The clock of \S+ shows 20[34]\S+, more than a day ahead of this machine's/
      )
      // Once the clock is correct again, every sync reports why it reads nothing.
      isWrong = false
      for (let sync = 0; sync < 2; sync++) {
        const later = yield* rules.read(files, config, catalog, first.states)
        assert.deepStrictEqual([later.code, later.records.length], [0, 0])
        assert.lengthOf(warningsOf(later), 1)
        assert.match(
          warningsOf(later)[0]!,
          /^The saved state of 1 stream is later than the server's clock \(20\S+\): m \(20[34]\S+\)\. Nothing is read until then\. .* clear these states/
        )
      }
      // A refresh does not use the state.
      const refresh = { streams: catalog.streams.map((stream) => ({ ...stream, sync_mode: "full_refresh" })) }
      assert.deepStrictEqual(warningsOf(yield* rules.read(files, config, refresh, first.states)), [])
    })
  )
})

describe("a clock that is years behind", () => {
  it.live("causes a warning, and the data can be read", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const config = configOf(yield* serve({ clock: () => start / 1000 + 10 * 60 }))
      const path = files.write("config.json", config)
      const checked = yield* rules.verb(["check", "--config", path])
      assert.deepStrictEqual(connectionStatusOf(checked).status, "SUCCEEDED")
      const read = yield* rules.read(files, config, connector.catalogOf("m"))
      assert.deepStrictEqual([read.code, read.records.length], [0, MINUTES])
      for (const output of [checked, read]) {
        assert.match(
          warningsOf(output).join("\n"),
          /^The clock of .* behind the Date header .* and behind this machine's/
        )
      }
    })
  )
})

describe("a server's list of metric names", () => {
  it.live("yields one stream per valid name even if it is listed twice, and each point once", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const long = "n".repeat(3000)
      const absurd = "x".repeat(20_000)
      const names = JSON.stringify(["m", "", "b", "m", long, "b", absurd, "m"])
      const config = configOf(yield* serve({ names }), bounded)
      const path = files.write("config.json", config)
      const discovered = yield* rules.verb(["discover", "--config", path])
      const catalog = discovered.messages.find(({ type }) => type === "CATALOG") as unknown as {
        readonly catalog: { readonly streams: ReadonlyArray<connector.Stream> }
      }
      assert.deepStrictEqual(
        catalog.catalog.streams.map(({ name }) => name),
        ["b", "m", long]
      )
      assert.match(
        warningsOf(discovered).join("\n"),
        /^Left out: 1 metric whose name has more than 10000 characters\.$/
      )
      for (const format of ["jsonl", "parquet", "duckdb"]) {
        const out = files.path(`out-${format}`)
        const ran = yield* child.run(["run", "--config", path, "--to", `${format}:${out}`, "--json"])
        assert.strictEqual(ran.code, 0, ran.stderr)
        const reported = JSON.parse(ran.stdout) as {
          readonly rows: number
          readonly streams: ReadonlyArray<{ readonly name: string; readonly rows: number }>
        }
        assert.deepStrictEqual(
          reported.streams.map(({ name, rows }) => [name, rows]),
          [
            ["b", MINUTES],
            ["m", MINUTES],
            [long, MINUTES]
          ]
        )
        if (format !== "jsonl") continue
        for (const name of ["b", "m"]) {
          const lines = readFileSync(join(out, `${name}.jsonl`), "utf8")
            .trimEnd()
            .split("\n")
          assert.lengthOf(lines, MINUTES)
          assert.strictEqual(new Set(lines).size, MINUTES)
        }
      }
    })
  )

  it.live("may contain what is no name, which is left out", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const config = configOf(yield* serve({ names: '["m",null,"",5,["b"],"m"]' }))
      const streams = yield* connector.discover(files, config)
      assert.deepStrictEqual(
        streams.map(({ name }) => name),
        ["m"]
      )
    })
  )

  it.live("is rejected with a clear message if it is not a list", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const config = configOf(yield* serve({ names: '{"m":1}' }))
      const output = yield* rules.verb(["discover", "--config", files.write("config.json", config)])
      assert.strictEqual(output.code, 1)
      assert.match(output.errors[0]!.message, /^The response from \S+ is not a Prometheus response: /)
    })
  )

  it.live(
    "may have 700,000 names, which are reported as too many for a catalog",
    () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        const names = JSON.stringify(Array.from({ length: 700_000 }, (_, i) => `metric_${i}`))
        const config = configOf(yield* serve({ names }), { label_columns: false })
        const path = files.write("config.json", config)
        const checked = yield* rules.verb(["check", "--config", path])
        assert.strictEqual(connectionStatusOf(checked).status, "SUCCEEDED")
        const shown = yield* child.run(["discover", "--human", "--config", path])
        assert.deepStrictEqual([shown.code, shown.stdout.trimEnd().split("\n").length], [0, 700_001])
        const output = yield* rules.verb(["discover", "--config", path])
        assert.strictEqual(output.code, 1)
        assert.match(
          output.errors[0]!.message,
          /^The catalog of 700,000 streams is too large for one message\. Select fewer/
        )
      }),
    { timeout: 120_000 }
  )
})

describe("a dry run", { concurrent: true }, () => {
  for (const count of ["NaN", "+Inf", "-1", "0.5", "1e300"]) {
    it.live(`fails with a clear message if the server counts ${count} series`, () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        const base = yield* serve({ value: (query) => (query.startsWith("count(") ? count : "1") })
        const path = files.write("config.json", configOf(base, bounded))
        const args = ["run", "--config", path, "--to", `jsonl:${files.path("out")}`, "--dry-run"]
        const output = yield* child.run(args)
        assert.strictEqual(output.code, 1)
        assert.include(
          output.stderr,
          `The series of m cannot be counted: the server returned ${count} for their number.`
        )
        assert.notInclude(output.stderr, "a bug in source-prometheus")
      })
    )
  }
})

describe("memory stays bounded", { concurrent: true }, () => {
  const reportPeak = pathToFileURL(join(import.meta.dirname, "../support/reportPeak.mjs")).href
  const MAX_MEGABYTES = 300

  const bomb = gzipSync(Buffer.alloc(64_000_000, "["))
  const packed = { "content-encoding": "gzip" }
  const sendBomb = (isAsked: boolean, response: ServerResponse): boolean => {
    if (isAsked) send(response, [bomb], packed)
    return isAsked
  }
  let warnings = 0
  const cases: Readonly<
    Record<string, readonly [verb: string, own: NonNullable<Lies["own"]>, code: number]>
  > = {
    "where the clock unpacks to 64 MB": [
      "read",
      (path, response) => sendBomb(path.endsWith("/query"), response),
      1
    ],
    "where the names unpack to 64 MB of lists": [
      "discover",
      (path, response) => sendBomb(path.endsWith("/values"), response),
      1
    ],
    "where the metadata unpack to 64 MB of lists": [
      "discover",
      (path, response) => sendBomb(path.endsWith("/metadata"), response),
      0
    ],
    "where each of many responses has a warning of 5 MB": [
      "read",
      (path, response) => {
        if (!path.endsWith("/query_range")) return false
        const warning = `${warnings++} ${"w".repeat(5_000_000)}`
        send(response, [
          `{"status":"success","warnings":["${warning}"],"data":{"resultType":"matrix","result":[]}}`
        ])
        return true
      },
      0
    ]
  }
  for (const [what, [verb, own, code]] of Object.entries(cases)) {
    it.live(what, () =>
      Effect.gen(function* () {
        const files = yield* connector.workspace
        const names = Array.from({ length: 60 }, (_, i) => `m${i}`)
        const base = yield* serve({ own, names: JSON.stringify(names) })
        const config = configOf(base, { ...bounded, partial_data: "accept" })
        const args =
          verb === "read"
            ? connector.readArgs(files, config, connector.catalogOf(...names))
            : [verb, "--config", files.write("config.json", config)]
        const output = yield* connector.runVerb(args, {
          nodeOptions: ["--max-old-space-size=128", "--import", reportPeak],
          env: { PEAK_FILE: files.path("peak") }
        })
        rules.checkLines(output)
        assert.strictEqual(output.code, code, output.stdout.slice(0, 2000))
        for (const log of output.logs) assert.isBelow(log.length, 1000)
        assert.isBelow(Number(readFileSync(files.path("peak"), "utf8")), MAX_MEGABYTES)
      })
    )
  }
})

describe("credentials sent in clear text", () => {
  it.live("cause a warning in each command and run", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      // Another name for this machine, which is not recognized as such.
      const base = (yield* serve()).replace("127.0.0.1", "0.0.0.0")
      const config = configOf(base, { ...bounded, basic_auth_user: "reader", basic_auth_pass: "Geheim-4711" })
      const path = files.write("config.json", config)
      const outputs = [
        yield* rules.verb(["check", "--config", path]),
        yield* rules.verb(["discover", "--config", path]),
        yield* rules.read(files, config, connector.catalogOf("m"))
      ]
      const warning = `Credentials are sent to ${base} without encryption: anyone on the way can read them. Use an address with https.`
      for (const output of outputs) {
        assert.strictEqual(output.code, 0)
        assert.deepStrictEqual(warningsOf(output), [warning])
      }
      const ran = yield* child.run(["run", "--config", path, "--to", `jsonl:${files.path("out")}`, "--json"])
      assert.strictEqual(ran.code, 0, ran.stderr)
      const forPerson = yield* child.run(["check", "--human", "--config", path])
      for (const { stderr } of [ran, forPerson]) {
        assert.lengthOf(stderr.match(/without encryption/g) ?? [], 1)
        assert.notInclude(stderr, "Geheim")
      }
    })
  )
})
