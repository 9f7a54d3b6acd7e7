import { assert, describe, it } from "@effect/vitest"
import { range } from "../../src/mock/evaluate.ts"
import { generate } from "../../src/mock/generate.ts"
import { labelValue, type MockSeries } from "../../src/mock/MockSeries.ts"

const hour = 3_600_000
const endMs = Date.UTC(2026, 0, 15, 9, 30)
const database = generate({ endMs })

const named = (name: string, from = database): ReadonlyArray<MockSeries> =>
  from.series.filter((s) => labelValue(s.labels, "__name__") === name)
const numbers = (series: MockSeries) => series.values.filter((v) => typeof v === "number")
const falls = (values: ReadonlyArray<number>) => values.filter((v, i) => i > 0 && v < values[i - 1]!).length

describe("the generated database", () => {
  it("is the same every time, and another with another seed", () => {
    assert.deepStrictEqual(generate({ endMs }), database)
    assert.notDeepEqual(generate({ endMs, seed: 2 }), database)
  })

  it("covers its hours, scrape by scrape", () => {
    for (const up of named("up")) {
      assert.strictEqual(up.times.length, 25 * 60)
      assert.isAtLeast(up.times[0]!, endMs - 25 * hour)
      assert.isAtMost(up.times.at(-1)!, endMs)
      for (let i = 1; i < up.times.length; i++) assert.strictEqual(up.times[i]! - up.times[i - 1]!, 60_000)
    }
    const short = generate({ endMs, hours: 1, intervalMs: 15_000 })
    assert.strictEqual(named("up", short)[0]!.times.length, 240)
  })

  it("has about ten metrics", () => {
    const names = new Set(database.series.map((s) => labelValue(s.labels, "__name__")))
    assert.strictEqual(names.size, 12)
    assert.isAbove(database.series.length, 50)
  })

  it("repeats itself when it ends later, and adds to it", () => {
    const later = generate({ endMs: endMs + 3 * hour })
    for (const series of database.series) {
      const labels = JSON.stringify(series.labels)
      const same = later.series.find((s) => JSON.stringify(s.labels) === labels)
      // From the second scrape of the later one on: the first has no sample to look back to.
      const from = endMs - 22 * hour + 60_000
      const tail = (s: MockSeries | undefined) =>
        s === undefined
          ? []
          : range(s, { startMs: from, endMs, stepMs: 60_000 }).values.map((value) => `${value}`)
      assert.deepStrictEqual(tail(same), tail(series), labels)
    }
  })

  it("has counters that rise, and fall once when their process restarts", () => {
    const counters = ["http_requests_total", "node_cpu_seconds_total", "http_request_duration_seconds_count"]
    for (const series of counters.flatMap((name) => named(name))) {
      // A counter that is still near zero may be zero again.
      if (Math.max(...numbers(series)) < 100) continue
      assert.strictEqual(falls(numbers(series)), 1, JSON.stringify(series.labels))
    }
  })

  it("has a classic histogram that is consistent", () => {
    for (const count of named("http_request_duration_seconds_count")) {
      const [handler, instance] = ["handler", "instance"].map((label) => labelValue(count.labels, label))
      const buckets = named("http_request_duration_seconds_bucket")
        .filter((s) => labelValue(s.labels, "handler") === handler)
        .filter((s) => labelValue(s.labels, "instance") === instance)
        .sort((a, b) => upper(a) - upper(b))
      assert.strictEqual(buckets.length, 6)
      assert.deepStrictEqual(buckets.at(-1)!.values, count.values)
      for (let i = 1; i < buckets.length; i++) {
        buckets[i]!.values.forEach((value, at) => {
          const below = buckets[i - 1]!.values[at]!
          if (typeof value === "number") assert.isAtLeast(value, Number(below))
        })
      }
    }
  })

  const upper = (series: MockSeries) => Number(labelValue(series.labels, "le").replace("+Inf", "Infinity"))

  it("has a series that ends and one that begins", () => {
    const builds = named("app_build_info").filter((s) => labelValue(s.labels, "instance").includes("11"))
    assert.strictEqual(builds.length, 2)
    assert.strictEqual(builds[0]!.values.at(-1), "stale")
    assert.isBelow(builds[0]!.times.at(-1)!, endMs - hour)
    assert.isAbove(builds[1]!.times[0]!, endMs - 24 * hour)
    assert.strictEqual(builds[1]!.values.at(-1), 1)
  })

  it("has values that are not finite, in few places", () => {
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

  it("knows every family", () => {
    for (const series of database.series) {
      const name = labelValue(series.labels, "__name__")
      const family = name.replace(/_(bucket|sum|count|total)$/, "")
      assert.isTrue(name === "up" || database.metadata.has(family), name)
    }
  })
})
