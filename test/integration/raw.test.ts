/** Stored samples of real servers, by `read` and by `run` into DuckDB: exactly those that promtool finds in the same files. */
import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { canonicalLabels, seriesId } from "../../src/samples/Series.ts"
import { Choices } from "../choices.ts"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import type { PrometheusRelease } from "../support/binaries.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import type { RealServer } from "../support/RealServer.ts"
import { anySeries } from "../support/randomSeries.ts"
import type { NativeHistogram, RemoteSeriesInput } from "../support/remoteWrite.ts"
import { describeEachConcurrently, prometheusServers, victoriaMetricsServers } from "../support/servers.ts"
import { type DumpedSample, numberOf, tsdbDump } from "../support/tsdbDump.ts"

/** Samples by series and time. */
type Samples = ReadonlyMap<string, DumpedSample["value"]>

const sorted = (samples: Samples) => [...samples].toSorted(([a], [b]) => (a < b ? -1 : 1))

/** The samples in the files of a server, but for stale markers. */
const dumped = Effect.fnUntraced(function* (
  server: RealServer,
  release: PrometheusRelease,
  markers: ReadonlySet<string> = new Set()
) {
  const samples = new Map<string, DumpedSample["value"]>()
  for (const { labels, time, value } of yield* tsdbDump(server.folder, release)) {
    const key = `${seriesId(canonicalLabels(labels))} ${time}`
    if (!markers.has(key)) samples.set(key, value)
  }
  return samples as Samples
})

/** Samples that a server has received. */
const written = (series: ReadonlyArray<RemoteSeriesInput>): Samples =>
  new Map(
    series.flatMap(({ labels, samples }) => {
      const id = seriesId(canonicalLabels(Object.entries(labels as Record<string, string>)))
      return samples.flatMap(([time, value]) =>
        value === "stale" ? [] : [[`${id} ${time}`, Number(value)] as const]
      )
    })
  )

interface HistogramColumn {
  readonly count: number | string
  readonly sum: number | string
  /** As objects, or as Prometheus writes them. */
  readonly buckets: ReadonlyArray<{ readonly count: number } | readonly [number, string, string, string]>
}

const histogramOf = ({ buckets, count, sum }: HistogramColumn) => ({
  count: Number(count),
  sum: Number(sum),
  buckets: buckets.map((bucket) => Number("count" in bucket ? bucket.count : bucket[3]))
})

/** The samples of records. None is printed twice, and the digits are those of the query API. */
const recorded = (output: connector.Output): Samples => {
  const samples = new Map<string, DumpedSample["value"]>()
  for (const { data, valueText } of output.records) {
    const key = `${data.series_id} ${Date.parse(data.time as string)}`
    if (samples.has(key)) throw new Error(`${key} was printed twice`)
    const text = (data.special_value as string | undefined) ?? valueText
    samples.set(
      key,
      data.histogram === undefined ? numberOf(text) : histogramOf(data.histogram as HistogramColumn)
    )
  }
  return samples
}

/** The files of DuckDB do not distinguish the two zeros. */
const unsigned = (samples: Samples): Samples =>
  new Map(Array.from(samples, ([key, value]) => [key, value === 0 ? 0 : value]))

/** The rows of tables in a DuckDB file. */
const rows = Effect.fnUntraced(function* (path: string, names: ReadonlyArray<string>) {
  const samples = new Map<string, DumpedSample["value"]>()
  for (const name of names) {
    const found = yield* Effect.promise(() =>
      queryDatabase(
        path,
        `SELECT series_id, epoch_ms(time)::DOUBLE AS millis, value, special_value, to_json(histogram)::VARCHAR AS histogram FROM "${name}"`
      )
    )
    for (const { histogram, millis, series_id, special_value, value } of found) {
      const key = `${series_id} ${millis}`
      if (samples.has(key)) throw new Error(`${key} is in two rows`)
      samples.set(
        key,
        histogram === null
          ? special_value === null
            ? (value as number)
            : numberOf(special_value as string)
          : histogramOf(JSON.parse(histogram as string) as HistogramColumn)
      )
    }
  }
  return samples as Samples
})

const runArgs = (server: RealServer, from: number, path: string, more: ReadonlyArray<string> = []) => [
  "run",
  ...["--url", server.baseUrl, "--start", iso(from), "--sampling", "raw", "--to", `duckdb:${path}`],
  ...more
]

const floats = [
  0,
  -0,
  1,
  0.1,
  1 / 3,
  1e-7,
  1e21,
  5e-324,
  2 ** 53,
  Number.NaN,
  Infinity,
  -Infinity,
  123456789.125
]

/** Regular and irregular times, close together and hours apart. */
const stored = (choices: Choices) =>
  ["raw_walk", "raw_counter", "raw_hostile"].flatMap((name) =>
    ["a", "b"].map((job) => ({
      labels: { __name__: name, job },
      samples: Array.from({ length: 1200 }, (_, i) => {
        const value =
          name === "raw_walk"
            ? choices.below(1e9) / 1e6
            : name === "raw_counter"
              ? 3 * i
              : floats[i % floats.length]!
        return [
          start + 15_000 * i + (i % 7 === 0 ? choices.below(900) : 0) + (i < 900 ? 0 : 5 * 3_600_000),
          value
        ] as const
      })
    }))
  )

const histograms = (from: number): ReadonlyArray<RemoteSeriesInput> =>
  [true, false].map((isInteger) => ({
    labels: { __name__: "raw_latency", kind: isInteger ? "integer" : "float" },
    samples: Array.from({ length: 30 }, (_, i) => {
      const counts = [i + 1, 2 * i + 1, 3]
      const histogram: NativeHistogram = {
        isInteger,
        schema: 1,
        zeroThreshold: 2 ** -128,
        zeroCount: 1,
        offset: -2,
        counts,
        count: 3 * i + 6,
        sum: i * 1.5
      }
      return [from + i * minute + (i % 3), histogram] as const
    })
  }))

describeEachConcurrently(prometheusServers, "stored samples of a real $name", ({ make, release }) => {
  /** The promtool of version 2 leaves out histograms. */
  const assertDumped = (samples: Samples, expected: Samples): void => {
    const isFloat = ([, value]: readonly [string, unknown]) => typeof value === "number"
    const found = sorted(samples)
    assert.lengthOf(
      found.filter((sample) => !isFloat(sample)),
      60
    )
    assert.deepStrictEqual(release === 2 ? found.filter(isFloat) : found, sorted(expected))
  }

  it.effect("arrive as they lie in blocks, with the series of queries, though the server adds labels", () =>
    Effect.gen(function* () {
      const server = yield* make({
        series: stored(new Choices(1, 1e9)),
        blockHours: 2,
        externalLabels: { region: "eu", replica: "1" }
      })
      const files = yield* connector.workspace
      const config = {
        base_url: server.baseUrl,
        start_date: iso(start),
        end_date: iso(start + 86_400_000)
      }
      const streams = yield* connector.discover(files, { ...config, sampling: "raw" })
      assert.deepStrictEqual(streams, yield* connector.discover(files, config))
      const catalog = connector.configure(streams, "incremental")
      const output = yield* connector.read(files, { ...config, sampling: "raw" }, catalog)
      assert.deepStrictEqual(output.errors, [])
      const expected = yield* dumped(server, release)
      assert.lengthOf([...expected], 7200)
      assert.deepStrictEqual(sorted(recorded(output)), sorted(expected))

      const points = yield* connector.read(files, { ...config, step: 900 }, catalog)
      const idsOf = ({ records }: connector.Output) => new Set(records.map(({ data }) => data.series_id))
      assert.deepStrictEqual([...idsOf(output)].toSorted(), [...idsOf(points)].toSorted())

      const path = files.path("data.duckdb")
      const result = yield* child.run(runArgs(server, start, path, ["--end", config.end_date]))
      assert.strictEqual(result.code, 0, result.stderr)
      const names = streams.map(({ name }) => name)
      assert.deepStrictEqual(sorted(unsigned(yield* rows(path, names))), sorted(unsigned(expected)))

      // The server has as many as there are rows, so that nothing is lost.
      const refresh = yield* child.run(
        runArgs(server, start, path, ["--end", config.end_date, "--full-refresh"])
      )
      assert.strictEqual(refresh.code, 0, refresh.stderr)
      assert.deepStrictEqual(sorted(unsigned(yield* rows(path, names))), sorted(unsigned(expected)))
      const other = yield* child.run([
        ...["run", "--url", server.baseUrl, "--start", iso(start), "--end", config.end_date],
        ...["--step", "15m", "--to", `duckdb:${path}`]
      ])
      assert.strictEqual(other.code, 1)
      assert.include(other.stderr, "The sampling of raw_counter is step, but")
    })
  )

  it.effect("are committed once with their state, whenever a run is killed", () =>
    Effect.gen(function* () {
      const server = yield* make({
        series: Array.from({ length: 4 }, (_, n) => ({
          labels: { __name__: "raw_many", n: `${n}` },
          samples: Array.from(
            { length: 12_000 },
            (_, i) => [start + 15_000 * i + (i % 11), i / 4 + n] as const
          )
        }))
      })
      const files = yield* connector.workspace
      const path = files.path("data.duckdb")
      const args = runArgs(server, start, path, ["--end", iso(start + 3 * 86_400_000), "--json"])
      const plan = yield* child.run([...args, "--dry-run"])
      const [estimated] = (
        JSON.parse(plan.stdout) as { readonly streams: ReadonlyArray<Record<string, number>> }
      ).streams
      assert.closeTo(estimated!.estimated_samples!, 48_000, 2500, plan.stdout)
      assert.strictEqual(estimated!.series, 4)
      for (const millis of [300, 600, 900, 1300]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const running = yield* child.start(args)
            yield* Effect.promise(() => sleep(millis))
            running.kill("SIGKILL")
            yield* running.result
          })
        )
      }
      const last = yield* child.run(args)
      assert.strictEqual(last.code, 0, last.stderr)
      const expected = sorted(yield* dumped(server, release))
      assert.deepStrictEqual(sorted(yield* rows(path, ["raw_many"])), expected)

      // Two processes share the work, in parts of a day.
      const folder = files.path("parts")
      const ends = ["--end", iso(start + 3 * 86_400_000)]
      const [one, other] = yield* Effect.all(
        [0, 1].map((part) =>
          child.run([
            ...["run", "--url", server.baseUrl, "--start", iso(start), ...ends, "--sampling", "raw"],
            ...["--to", `parquet:${folder}`, "--part", `${part}/2`, "--part-length", "1d"]
          ])
        ),
        { concurrency: 2 }
      )
      assert.deepStrictEqual([one!.code, other!.code], [0, 0], `${one!.stderr}${other!.stderr}`)
      const found = yield* Effect.promise(() =>
        queryDatabase(
          ":memory:",
          `SELECT series_id || ' ' || epoch_ms(time) AS key, value FROM read_parquet('${folder}/raw_many/*/*.parquet')`
        )
      )
      assert.deepStrictEqual(
        found
          .map(({ key, value }) => [key, value])
          .toSorted(([a], [b]) => ((a as string) < (b as string) ? -1 : 1)),
        expected as unknown
      )
      const { state } = JSON.parse(readFileSync(`${folder}/_state/raw_many.json`, "utf8"))
      assert.deepInclude(state, { sampling: "raw", time: iso(start + 3 * 86_400_000) })
      assert.deepStrictEqual(state.read, [[iso(start), iso(start + 3 * 86_400_000)]])
    })
  )

  it.effect("include late ones and histograms, and no stale markers, over several syncs", () =>
    Effect.gen(function* () {
      const now = Math.floor(Date.now() / minute) * minute
      const from = now - 50 * minute
      const server = yield* make({
        remoteWriteReceiver: true,
        outOfOrderWindow: "2h",
        flags: ["--enable-feature=native-histograms"],
        externalLabels: { region: "eu" }
      })
      const series: ReadonlyArray<RemoteSeriesInput> = [
        ...anySeries(new Choices(7, 1e9), "raw_late", from, now - minute, 60_000),
        {
          labels: { __name__: "raw_late", n: "ends often" },
          samples: Array.from({ length: 200 }, (_, i) => [
            from + i * 10_000 + (i % 9),
            i % 5 === 4 ? "stale" : i
          ])
        }
      ]
      const markers = new Set(
        series.flatMap(({ labels, samples }) =>
          samples.flatMap(([time, value]) =>
            value === "stale"
              ? [`${seriesId(canonicalLabels(Object.entries(labels as Record<string, string>)))} ${time}`]
              : []
          )
        )
      )
      const part = (early: boolean) =>
        series
          .map(({ labels, samples }) => ({
            labels,
            samples: samples.filter(([time]) => (time / 1000) % 7 < 4 === early)
          }))
          .filter(({ samples }) => samples.length > 0)
      const files = yield* connector.workspace
      const config = {
        base_url: server.baseUrl,
        start_date: iso(from),
        sampling: "raw",
        settle_delay: 0,
        lookback_window: 3600
      }
      const catalog = connector.catalogOf("raw_late", "raw_latency")
      const path = files.path("data.duckdb")
      const flags = ["--config", files.write("late.json", { settle_delay: 0, lookback_window: 3600 })]

      yield* server.remoteWrite([...part(true), ...histograms(from)])
      const first = yield* connector.read(files, config, catalog)
      assertDumped(recorded(first), yield* dumped(server, release, markers))
      const firstRun = yield* child.run(runArgs(server, from, path, flags))
      assert.strictEqual(firstRun.code, 0, firstRun.stderr)

      yield* server.remoteWrite(part(false))
      // The promtool of version 2 does not find all late samples of a running server.
      const expected = release === 2 ? written(series) : yield* dumped(server, release, markers)
      const second = yield* connector.read(files, config, catalog, first.states)
      assertDumped(recorded(second), expected)
      const again = yield* connector.read(files, { ...config, lookback_window: 0 }, catalog, second.states)
      assert.deepStrictEqual(again.records, [])
      const secondRun = yield* child.run(runArgs(server, from, path, flags))
      assert.strictEqual(secondRun.code, 0, secondRun.stderr)
      const all = yield* rows(path, ["raw_late", "raw_latency"])
      assertDumped(all, expected)
      assert.deepStrictEqual(sorted(all), sorted(recorded(second)))
    })
  )
})

describeEachConcurrently(victoriaMetricsServers, "stored samples of a real $name", ({ make }) => {
  it.effect("arrive once each, by queries", () =>
    Effect.gen(function* () {
      const series = ["a", "b"].map((job, n) => ({
        labels: { __name__: "raw_walk", job },
        samples: Array.from(
          { length: 3000 },
          (_, i) => [start + 15_000 * i + (i % 7) * 3, i / 8 + n] as const
        )
      }))
      const server = yield* make({ series })
      const files = yield* connector.workspace
      const config = {
        base_url: server.baseUrl,
        start_date: iso(start),
        end_date: iso(start + 86_400_000),
        sampling: "raw"
      }
      const output = yield* connector.read(files, config, connector.catalogOf("raw_walk"))
      assert.deepStrictEqual(output.errors, [])
      const expected = new Map(
        series.flatMap(({ labels, samples }) => {
          const id = seriesId(canonicalLabels(Object.entries(labels)))
          return samples.map(([time, value]) => [`${id} ${time}`, value] as const)
        })
      )
      assert.deepStrictEqual(sorted(recorded(output)), sorted(expected))
      assert.include(output.logs.join("\n"), "Stored samples are read by queries")
    })
  )
})
