/** Real servers that receive data while they run: by scraping and by remote write. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { referenceRecords } from "../support/referenceRecords.ts"
import { describeEach, prometheusServers, servers } from "../support/servers.ts"

const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const minute = 60_000

/** The time two hours ago, at a full minute. */
const recently = (): number => Math.floor(Date.now() / minute - 120) * minute

const exposition = `# HELP jobs_done Jobs that were done
# TYPE jobs_done counter
jobs_done_total{queue="mail"} 17
# HELP request_seconds How long requests took.
# TYPE request_seconds histogram
# UNIT request_seconds seconds
request_seconds_bucket{le="0.1"} 3
request_seconds_bucket{le="+Inf"} 4
request_seconds_count 4
request_seconds_sum 1.5
# TYPE untold unknown
untold 1
# EOF
`

describeEach(prometheusServers, "a real $name that scrapes", ({ make }) => {
  it.effect("gives streams the type, help and unit of the scraped metrics", () =>
    Effect.gen(function* () {
      const server = yield* make({ scrape: { text: exposition } })
      const files = yield* connector.workspace
      const streams = yield* connector.discover(files, {
        base_url: server.baseUrl,
        start_date: iso(recently()),
        step: 1
      })
      const described = new Map(streams.map(({ json_schema, name }) => [name, json_schema.description]))
      assert.strictEqual(described.get("jobs_done_total"), "counter. Jobs that were done.")
      for (const part of ["bucket", "count", "sum"]) {
        assert.strictEqual(
          described.get(`request_seconds_${part}`),
          "histogram. How long requests took. Unit: seconds."
        )
      }
      assert.strictEqual(described.get("untold"), "unknown.")
      assert.strictEqual(described.get("up"), undefined)
    })
  )

  it.effect("is read with native histograms, and series that change between floats and histograms", () =>
    Effect.gen(function* () {
      const server = yield* make({
        remoteWriteReceiver: true,
        flags: ["--enable-feature=native-histograms"]
      })
      const start = recently()
      const histogram = (n: number) => ({
        count: 6 + n,
        sum: 18.4 * n,
        schema: 1,
        zeroThreshold: 0.001,
        zeroCount: n,
        offset: -1,
        counts: [1, 2, 3]
      })
      yield* server.remoteWrite([
        {
          labels: { __name__: "latency", job: "api" },
          samples: Array.from({ length: 60 }, (_, i) => [start + i * minute, histogram(i)] as const)
        },
        {
          labels: { __name__: "mixed" },
          samples: Array.from(
            { length: 60 },
            (_, i) => [start + i * minute, i < 30 ? i : histogram(i)] as const
          )
        }
      ])
      const files = yield* connector.workspace
      const settings = {
        base_url: server.baseUrl,
        start_date: iso(start),
        end_date: iso(start + 80 * minute),
        step: 30
      }
      const streams = yield* connector.discover(files, settings)
      const output = yield* connector.read(files, settings, connector.configure(streams, "full_refresh"))
      assert.deepStrictEqual(output.errors, [])
      const expected = new Map<string, string>()
      for (const { name } of streams) {
        const part = yield* Effect.promise(() =>
          referenceRecords({
            baseUrl: server.baseUrl,
            metric: name,
            start: start / 1000,
            end: start / 1000 + 80 * 60,
            step: 30
          })
        )
        for (const [key, value] of part) expected.set(key, value)
      }
      assert.deepStrictEqual(
        new Map([...connector.byKey(output.records)].sort()),
        new Map([...expected].sort())
      )
      const ofKind = (stream: string, key: string) =>
        output.records.filter((record) => record.stream === stream && record.data[key] !== undefined).length
      assert.isAbove(ofKind("latency", "histogram"), 100)
      assert.isAbove(ofKind("mixed", "histogram"), 50)
      assert.isAbove(
        output.records.length - ofKind("latency", "histogram") - ofKind("mixed", "histogram"),
        50
      )
    })
  )
})

describeEach(servers, "a real $name with remote write", ({ makeWritable }) => {
  it.effect("has a series that ends at its stale marker and resumes later", () =>
    Effect.gen(function* () {
      const server = yield* makeWritable()
      const start = recently()
      yield* server.remoteWrite([
        {
          labels: { __name__: "stopped" },
          samples: [
            [start, 1],
            [start + minute, 2],
            [start + 2 * minute, "stale"],
            [start + 20 * minute, Number.POSITIVE_INFINITY],
            [start + 21 * minute, 4]
          ]
        }
      ])
      const files = yield* connector.workspace
      const settings = {
        base_url: server.baseUrl,
        start_date: iso(start),
        end_date: iso(start + 80 * minute),
        step: 30
      }
      const streams = yield* connector.discover(files, settings)
      const output = yield* connector.read(files, settings, connector.configure(streams, "full_refresh"))
      assert.deepStrictEqual(output.errors, [])
      const expected = yield* Effect.promise(() =>
        referenceRecords({
          baseUrl: server.baseUrl,
          metric: "stopped",
          start: start / 1000,
          end: start / 1000 + 80 * 60,
          step: 30
        })
      )
      assert.deepStrictEqual(
        new Map([...connector.byKey(output.records)].sort()),
        new Map([...expected].sort())
      )
      // After the last sample, servers repeat it for the length of their look-back.
      const until = start + 22 * minute
      assert.deepStrictEqual(
        output.records
          .filter(({ data }) => Date.parse(data.time as string) < until)
          .map(({ data }) => [
            (Date.parse(data.time as string) - start) / minute,
            data.value ?? data.special_value
          ]),
        [
          [0, 1],
          [0.5, 1],
          [1, 2],
          [1.5, 2],
          [20, "+Inf"],
          [20.5, "+Inf"],
          [21, 4],
          [21.5, 4]
        ]
      )
    })
  )

  it.effect("is read only up to the settle delay, with late samples from the look-back window", () =>
    Effect.gen(function* () {
      const server = yield* makeWritable()
      // So recent that the last points have not settled.
      const start = Math.floor(Date.now() / minute - 20) * minute
      yield* server.remoteWrite([
        {
          labels: { __name__: "busy", host: "a" },
          samples: Array.from({ length: 21 }, (_, i) => [start + i * minute, i] as const)
        }
      ])
      const files = yield* connector.workspace
      const settings = {
        base_url: server.baseUrl,
        start_date: iso(start),
        step: 60,
        settle_delay: 600,
        lookback_window: 600
      }
      const streams = yield* connector.discover(files, settings)
      const catalog = connector.configure(streams, "incremental")
      const first = yield* connector.read(files, settings, catalog)
      const latest = Math.max(...first.records.map(({ data }) => Date.parse(data.time as string)))
      assert.isAtMost(latest, Date.now() - 600_000)
      assert.isAbove(first.records.length, 8)

      yield* server.remoteWrite([
        { labels: { __name__: "busy", host: "late" }, samples: [[latest - 2 * minute, 7]] }
      ])
      const second = yield* connector.read(files, settings, catalog, first.states)
      const late = second.records.filter(({ data }) => data.host === "late")
      assert.isAbove(late.length, 0)
      assert.strictEqual(late[0]!.data.time, iso(latest - 2 * minute))
      const ids = (records: ReadonlyArray<connector.ParsedRecord>) =>
        new Set(records.map(({ data }) => `${data.series_id} ${data.time}`))
      const before = ids(first.records)
      // The overlap has the same keys as before. Only the late series and newer points have new keys.
      for (const { data } of second.records) {
        const isNew = data.host === "late" || Date.parse(data.time as string) > latest
        assert.strictEqual(before.has(`${data.series_id} ${data.time}`), !isNew)
      }
    })
  )
})
