import { assert, describe, it } from "@effect/vitest"
import { range } from "../../src/mock/evaluate.ts"
import { generate } from "../../src/mock/generate.ts"
import { labelValue, type MockSeries } from "../../src/mock/MockSeries.ts"

const hour = 3_600_000
const endMillis = Date.UTC(2026, 0, 15, 9, 30)
const database = generate({ endMillis })

/** The series of a metric. Fails if there are none, so that no test passes without series. */
const named = (name: string, from = database): ReadonlyArray<MockSeries> => {
  const series = from.series.filter((s) => labelValue(s.labels, "__name__") === name)
  assert.isNotEmpty(series, name)
  return series
}
const label = (name: string) => (series: MockSeries) => labelValue(series.labels, name)
const last = (series: MockSeries): number => numbers(series).at(-1)!
const numbers = (series: MockSeries) => series.values.filter((v) => typeof v === "number")
const falls = (values: ReadonlyArray<number>) => values.filter((v, i) => i > 0 && v < values[i - 1]!).length

describe("the generated database", () => {
  it("is the same every time, but differs with another seed", () => {
    assert.deepStrictEqual(generate({ endMillis }), database)
    assert.notDeepEqual(generate({ endMillis, seed: 2 }), database)
  })

  it("has a sample per scrape for all of its hours", () => {
    for (const up of named("up")) {
      assert.strictEqual(up.times.length, 25 * 60)
      assert.isAtLeast(up.times[0]!, endMillis - 25 * hour)
      assert.isAtMost(up.times.at(-1)!, endMillis)
      for (let i = 1; i < up.times.length; i++) assert.strictEqual(up.times[i]! - up.times[i - 1]!, 60_000)
    }
    const short = generate({ endMillis, hours: 1, intervalMillis: 15_000 })
    assert.strictEqual(named("up", short)[0]!.times.length, 240)
  })

  it("has twelve metrics, each with its series", () => {
    const names = database.series.map(label("__name__"))
    assert.deepStrictEqual(
      Object.fromEntries([...new Set(names)].map((name) => [name, named(name).length])),
      {
        app_build_info: 4,
        cache_hit_ratio: 2,
        http_request_duration_seconds_bucket: 24,
        http_request_duration_seconds_count: 4,
        http_request_duration_seconds_sum: 4,
        http_requests_total: 12,
        node_cpu_seconds_total: 12,
        node_memory_MemAvailable_bytes: 2,
        process_start_time_seconds: 2,
        queue_depth: 4,
        queue_seconds_per_job: 4,
        up: 2
      }
    )
  })

  it("has the same samples and later ones if it ends later", () => {
    const later = generate({ endMillis: endMillis + 3 * hour })
    for (const series of database.series) {
      const labels = JSON.stringify(series.labels)
      const same = later.series.find((other) => JSON.stringify(other.labels) === labels)
      // From the second scrape of the later database, because its first one has no previous sample.
      const from = endMillis - 22 * hour + 60_000
      const tail = (s: MockSeries | undefined) =>
        s === undefined
          ? []
          : range(s, { startMillis: from, endMillis, stepMillis: 60_000 }).values.map((value) => `${value}`)
      assert.deepStrictEqual(tail(same), tail(series), labels)
    }
  })

  it("has counters that rise, and fall once when their process restarts", () => {
    // Errors are rare: their counters may still be near zero when the process restarts.
    const counters = [
      ...named("http_requests_total").filter((series) => label("code")(series) !== "500"),
      ...named("node_cpu_seconds_total"),
      ...named("http_request_duration_seconds_count"),
      ...named("http_request_duration_seconds_bucket")
    ]
    for (const series of counters) {
      assert.isAbove(Math.max(...numbers(series)), 100, JSON.stringify(series.labels))
      assert.strictEqual(falls(numbers(series)), 1, JSON.stringify(series.labels))
    }
    const errors = named("http_requests_total").filter((series) => label("code")(series) === "500")
    assert.isAbove(Math.max(...errors.flatMap(numbers)), 100)
    for (const series of errors) assert.isAtMost(falls(numbers(series)), 1)
  })

  it("has a classic histogram that is consistent", () => {
    const of = (suffix: string, other: MockSeries) =>
      named(`http_request_duration_seconds_${suffix}`).filter((series) =>
        ["handler", "instance"].every((name) => label(name)(series) === label(name)(other))
      )
    for (const count of named("http_request_duration_seconds_count")) {
      const buckets = of("bucket", count)
      assert.deepStrictEqual(buckets.map(label("le")).sort(), ["+Inf", "0.05", "0.1", "0.25", "0.5", "1"])
      buckets.sort((a, b) => upper(a) - upper(b))
      assert.deepStrictEqual(buckets.at(-1)!.values, count.values)
      assert.isAbove(numbers(count).length, 24 * 60)
      for (const [smaller, larger] of buckets.slice(1).map((bucket, i) => [buckets[i]!, bucket] as const)) {
        // Every bucket has its own requests, though not always since the last restart.
        assert.isAbove(Math.max(...numbers(larger)), Math.max(...numbers(smaller)))
        larger.values.forEach((value, at) => {
          const below = smaller.values[at]!
          assert.strictEqual(typeof value, typeof below)
          if (typeof value === "number") assert.isAtLeast(value, Number(below))
        })
      }
      const [sum] = of("sum", count)
      const average = last(sum!) / last(count)
      assert.isTrue(average > 0.05 && average < 0.25, `${average} s per request`)
    }
  })

  const upper = (series: MockSeries) => Number(label("le")(series).replace("+Inf", "Infinity"))

  it("has a series that ends and one that begins", () => {
    const builds = named("app_build_info").filter((series) => label("instance")(series).includes("11"))
    assert.strictEqual(builds.length, 2)
    assert.strictEqual(builds[0]!.values.at(-1), "stale")
    assert.isBelow(builds[0]!.times.at(-1)!, endMillis - hour)
    assert.isAbove(builds[1]!.times[0]!, endMillis - 24 * hour)
    assert.strictEqual(builds[1]!.values.at(-1), 1)
  })

  it("has a few values that are not finite", () => {
    const odd = database.series.flatMap(numbers).filter((v) => !Number.isFinite(v))
    assert.isTrue(odd.some(Number.isNaN) && odd.includes(Number.POSITIVE_INFINITY))
    assert.isBelow(odd.length, 200)
  })

  it("has instances that are down, with stale markers and a new start time", () => {
    for (const up of named("up")) {
      const down = up.values.filter((v) => v === 0).length
      assert.isTrue(down > 0 && down < 10)
    }
    for (const started of named("process_start_time_seconds")) {
      assert.strictEqual(new Set(numbers(started)).size, 2)
      assert.strictEqual(started.values.filter((v) => v === "stale").length, 1)
    }
  })

  it("has metadata for every family", () => {
    for (const series of database.series) {
      const name = labelValue(series.labels, "__name__")
      const family = name.replace(/_(bucket|sum|count|total)$/, "")
      assert.isTrue(name === "up" || database.metadata.has(family), name)
    }
  })
})
