/**
 * Generates the metrics of an invented small company, for the demo and for tests.
 *
 * Every value is a pure function of the seed, the series and the time. So a database that ends later has the same samples and
 * further ones, like a real server: a second run of the demo finds new samples and no contradictions.
 */
import type { FamilyMetadata, MockDatabase, MockSeries } from "./MockSeries.ts"
import { makeDatabase, makeSeries } from "./MockSeries.ts"

/** What to generate. */
export interface GenerateOptions {
  /** No scrape is later, in milliseconds since the Unix epoch. */
  readonly endMillis: number
  /** How long before `endMillis` the first scrape is; 25 hours by default. */
  readonly hours?: number
  readonly seed?: number
  /** The time between two scrapes; a minute by default. */
  readonly intervalMillis?: number
}

const day = 86_400_000

/** A number in [0, 1) that depends only on the arguments. */
const noise = (seed: number, series: number, tick: number): number => {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(series + 1, 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) ^ Math.imul(tick | 0, 0x297a2d39)
  h = Math.imul(h ^ (h >>> 12), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32
}

/** How busy the company is at a time: from about 0.2 at night to 1 in the afternoon. */
const activity = (timeMillis: number): number =>
  0.6 - 0.4 * Math.cos((2 * Math.PI * ((timeMillis % day) - 3 * 3_600_000)) / day)

interface Instance {
  readonly name: string
  /** When in the interval it is scraped: targets are spread over it. */
  readonly offsetMillis: number
  /** When in each UTC day it restarts, and how long it is then down. */
  readonly restartMillis: number
  readonly downMillis: number
}

const instances: ReadonlyArray<Instance> = [
  { name: "10.0.0.11:9100", offsetMillis: 7_412, restartMillis: 4.25 * 3_600_000, downMillis: 6 * 60_000 },
  { name: "10.0.0.12:9100", offsetMillis: 38_950, restartMillis: 16.5 * 3_600_000, downMillis: 2 * 60_000 }
]

const families: ReadonlyArray<readonly [string, FamilyMetadata]> = [
  ["app_build_info", { type: "gauge", help: "A constant 1, labelled by what is running.", unit: "" }],
  ["cache_hit_ratio", { type: "gauge", help: "Hits per look-up; NaN without look-ups.", unit: "ratio" }],
  ["http_request_duration_seconds", { type: "histogram", help: "How long requests took.", unit: "seconds" }],
  ["http_requests", { type: "counter", help: "Requests handled.", unit: "" }],
  ["node_cpu_seconds", { type: "counter", help: "CPU time spent in each mode.", unit: "seconds" }],
  ["node_memory_MemAvailable_bytes", { type: "gauge", help: "Memory free for use.", unit: "bytes" }],
  ["process_start_time_seconds", { type: "gauge", help: "When the process started.", unit: "seconds" }],
  ["queue_depth", { type: "gauge", help: "Jobs waiting.", unit: "" }],
  [
    "queue_seconds_per_job",
    { type: "gauge", help: "Time per job; +Inf when none finished.", unit: "seconds" }
  ]
]

/** How busy a CPU is in each mode, by the activity. */
const cpuModes = {
  idle: (busy: number) => 1 - 0.8 * busy,
  system: (busy: number) => 0.2 * busy,
  user: (busy: number) => 0.6 * busy
}

const shareOfCode = { 200: 1, 404: 0.02, 500: 0.004 }

const shareBelow = [
  ["0.05", 0.6],
  ["0.1", 0.2],
  ["0.25", 0.12],
  ["0.5", 0.05],
  ["1", 0.02],
  ["+Inf", 0.01]
] as const

/** Generates the database: twelve metrics, 76 series, one sample per series and interval. */
export const generate = (options: GenerateOptions): MockDatabase => {
  const { endMillis, hours = 25, seed = 1, intervalMillis = 60_000 } = options
  const span = { startMillis: endMillis - hours * 3_600_000, endMillis, seed, intervalMillis }
  const series = instances.flatMap((instance, n) => [...new Target({ ...instance, ...span }, 1000 * n).all()])
  return makeDatabase(
    series.filter(({ times }) => times.length > 0),
    families
  )
}

interface Span {
  readonly startMillis: number
  readonly endMillis: number
  readonly seed: number
  readonly intervalMillis: number
}

type Samples = Array<readonly [timeMillis: number, value: number | "stale"]>

/** The series of one instance. */
class Target {
  readonly target: Instance & Span
  /** Numbers the series, so that each has its own noise. */
  #id: number

  constructor(target: Instance & Span, firstId: number) {
    this.target = target
    this.#id = firstId
  }

  *all(): Generator<MockSeries> {
    const { downMillis, intervalMillis } = this.target
    const up = [...this.#scrapes(this.target.startMillis)].map(([time, up]) => [time, up ? 1 : 0] as const)
    yield this.#series("up", up)
    const started = this.#samples((time) => (this.#downSince(time) + downMillis) / 1000)
    yield this.#series("process_start_time_seconds", started)
    const memory = this.#samples(
      (time, random) => 4096 * Math.round(1_500_000 - 900_000 * activity(time) + 60_000 * random)
    )
    yield this.#series("node_memory_MemAvailable_bytes", memory)
    for (const cpu of ["0", "1"]) {
      for (const [mode, rate] of Object.entries(cpuModes)) {
        const cpuSeconds = this.#samples((time, random, before) => {
          const seconds = (rate(activity(time)) * intervalMillis * (0.9 + 0.2 * random)) / 1000
          // In the kernel's unit of hundredths, so that sums have no rounding errors.
          return (Math.round(before * 100) + Math.round(seconds * 100)) / 100
        })
        yield this.#series("node_cpu_seconds_total", cpuSeconds, { cpu, mode })
      }
    }
    yield* this.#requests("/", 240)
    yield* this.#requests("/api/orders", 60)
    for (const queue of ["email", "reports"]) {
      const depth = this.#samples((time, random) => Math.floor(40 * activity(time) * random * random))
      yield this.#series("queue_depth", depth, { queue })
      const perJob = this.#samples((_, random) =>
        random < 0.01 ? Number.POSITIVE_INFINITY : Math.round(random * 9000) / 1e6
      )
      yield this.#series("queue_seconds_per_job", perJob, { queue })
    }
    const hits = this.#samples((time, random) =>
      random < 0.02 ? Number.NaN : 1 - activity(time) * 0.3 * random
    )
    yield this.#series("cache_hit_ratio", hits)
    yield* this.#builds()
  }

  *#requests(handler: string, perScrape: number): Generator<MockSeries> {
    const requests = (share: number) =>
      this.#counter((time, random) => Math.floor(perScrape * share * activity(time) * 2 * random))
    for (const [code, share] of Object.entries(shareOfCode)) {
      yield this.#series("http_requests_total", requests(share), { handler, method: "GET", code })
    }
    // Each bucket has its own counter. Their sums are the cumulative buckets, which never decrease.
    const counters = shareBelow.map(([, share]) => requests(share))
    const seconds = shareBelow.map(([le]) => (le === "+Inf" ? 2.5 : Number(le) * 0.7))
    const duration = "http_request_duration_seconds"
    for (const [i, [le]] of shareBelow.entries()) {
      yield this.#series(`${duration}_bucket`, sumOf(counters.slice(0, i + 1)), { handler, le })
    }
    yield this.#series(`${duration}_sum`, sumOf(counters, seconds), { handler })
    yield this.#series(`${duration}_count`, sumOf(counters), { handler })
  }

  /** A new version goes live at noon UTC: one series ends and another begins on each day. */
  *#builds(): Generator<MockSeries> {
    const version = (time: number) => Math.floor((time + day / 2) / day)
    const all = this.#samples(() => 1)
    const builds = [...Map.groupBy(all, ([time]) => version(time))]
    for (const [i, [current, own]] of builds.entries()) {
      const next = builds[i + 1]?.[1][0]
      // The scrape that no longer finds a series marks it stale.
      if (next !== undefined) own.push([next[0], "stale"])
      yield this.#series("app_build_info", own, { version: `4.${current % 1000}.0` })
    }
  }

  #series(name: string, samples: Iterable<Samples[number]>, labels: Record<string, string> = {}): MockSeries {
    return makeSeries({ __name__: name, job: "shop", instance: this.target.name, ...labels }, samples)
  }

  /** The times of all scrapes, and whether the instance was up. */
  *#scrapes(sinceMillis: number): Generator<readonly [timeMillis: number, up: boolean]> {
    const { downMillis, endMillis, intervalMillis, offsetMillis } = this.target
    const first = Math.ceil((sinceMillis - offsetMillis) / intervalMillis)
    for (let tick = first; ; tick++) {
      const time = tick * intervalMillis + offsetMillis
      if (time > endMillis) return
      yield [time, time - this.#downSince(time) >= downMillis]
    }
  }

  /** The last time at or before `timeMillis` at which the instance went down. */
  #downSince(timeMillis: number): number {
    const { restartMillis } = this.target
    return Math.floor((timeMillis - restartMillis) / day) * day + restartMillis
  }

  /** A value per scrape while the instance is up, and a stale marker when it goes down. `before` is 0 after a restart. */
  #samples(next: (timeMillis: number, random: number, before: number) => number): Samples {
    const { intervalMillis, seed, startMillis } = this.target
    const id = this.#id++
    const samples: Samples = []
    let value = 0
    let wasUp = false
    for (const [time, up] of this.#scrapes(this.#downSince(startMillis))) {
      value = up ? next(time, noise(seed, id, Math.floor(time / intervalMillis)), value) : 0
      if (time < startMillis) continue
      if (up) samples.push([time, value])
      else if (wasUp) samples.push([time, "stale"])
      wasUp = up
    }
    return samples
  }

  /** The total since the process started. */
  #counter(increase: (timeMillis: number, random: number) => number): Samples {
    return this.#samples((time, random, total) => total + increase(time, random))
  }
}

/** The sum of counters with the same scrapes, each times its weight. */
const sumOf = (counters: ReadonlyArray<Samples>, weights: ReadonlyArray<number> = []): Samples =>
  counters[0]!.map(([time, first], i) => {
    if (first === "stale") return [time, first]
    return [time, counters.reduce((sum, counter, n) => sum + Number(counter[i]![1]) * (weights[n] ?? 1), 0)]
  })
