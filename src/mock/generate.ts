/**
 * Generates the metrics of an invented small company, for the demo and for tests.
 *
 * Every value is a pure function of the seed, the series and the time. So a database that ends later has the same samples and
 * further ones, like a real server: a second run of the demo finds new samples and no contradictions.
 */
import type { FamilyMetadata, LabelsInput, MockDatabase, MockSeries, MockValue } from "./MockSeries.ts"
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

/** Generates the database: twelve metrics, 76 series, one sample per series and interval. */
export const generate = (options: GenerateOptions): MockDatabase => {
  const { endMillis, hours = 25, seed = 1, intervalMillis = 60_000 } = options
  const startMillis = endMillis - hours * 3_600_000
  const series: Array<MockSeries> = []
  const add = (labels: LabelsInput, samples: Array<readonly [number, MockValue]>) => {
    if (samples.length > 0) series.push(makeSeries(labels, samples))
  }
  instances.forEach((instance, index) => {
    const target = new Target(instance, index, { startMillis, endMillis, seed, intervalMillis })
    target.all(add)
  })
  return makeDatabase(series, families)
}

interface Span {
  readonly startMillis: number
  readonly endMillis: number
  readonly seed: number
  readonly intervalMillis: number
}

type Add = (labels: LabelsInput, samples: Array<readonly [number, MockValue]>) => void

/** The series of one instance. */
class Target {
  readonly instance: Instance
  readonly index: number
  readonly span: Span
  /** Numbers the series, so that each has its own noise. */
  #series = 0

  constructor(instance: Instance, index: number, span: Span) {
    this.instance = instance
    this.index = index
    this.span = span
  }

  all(add: Add): void {
    this.#series = this.index * 1000
    add(
      this.#labels("up"),
      [...this.#scrapes()].map(([time, up]) => [time, up ? 1 : 0])
    )
    add(
      this.#labels("process_start_time_seconds"),
      this.#gauge((time) => this.#startedMillis(time) / 1000)
    )
    add(
      this.#labels("node_memory_MemAvailable_bytes"),
      this.#gauge((time, random) => 4096 * Math.round(1_500_000 - 900_000 * activity(time) + 60_000 * random))
    )
    for (const cpu of ["0", "1"]) {
      for (const [mode, share] of [
        ["idle", 0.2],
        ["system", 0.2],
        ["user", 0.6]
      ] as const) {
        const rate = (time: number) => (mode === "idle" ? 1 - 0.8 * activity(time) : share * activity(time))
        const cpuSeconds = this.#counter((time, random) => {
          const seconds = (rate(time) * this.span.intervalMillis * (0.9 + 0.2 * random)) / 1000
          return Math.round(seconds * 100) / 100
        })
        add(this.#labels("node_cpu_seconds_total", { cpu, mode }), hundredths(cpuSeconds))
      }
    }
    for (const handler of ["/", "/api/orders"]) this.#requests(add, handler)
    for (const queue of ["email", "reports"]) this.#queue(add, queue)
    add(
      this.#labels("cache_hit_ratio"),
      this.#gauge((time, random) => (random < 0.02 ? Number.NaN : 1 - activity(time) * 0.3 * random))
    )
    this.#builds(add)
  }

  #requests(add: Add, handler: string): void {
    const perScrape = handler === "/" ? 240 : 60
    for (const [code, share] of [
      ["200", 1],
      ["404", 0.02],
      ["500", 0.004]
    ] as const) {
      add(
        this.#labels("http_requests_total", { handler, method: "GET", code }),
        this.#counter((time, random) => Math.floor(perScrape * share * activity(time) * 2 * random))
      )
    }
    // Each bucket has its own counter. Their sums are the cumulative buckets, which never decrease.
    const bounds = [
      ["0.05", 0.6],
      ["0.1", 0.2],
      ["0.25", 0.12],
      ["0.5", 0.05],
      ["1", 0.02],
      ["+Inf", 0.01]
    ] as const
    let below: Array<readonly [number, MockValue]> = []
    let sum: Array<readonly [number, MockValue]> = []
    for (const [le, share] of bounds) {
      const own = this.#counter((time, random) => Math.floor(perScrape * share * activity(time) * 2 * random))
      const seconds = le === "+Inf" ? 2.5 : Number(le) * 0.7
      sum = plus(
        sum,
        own.map(([time, n]) => [time, typeof n === "number" ? n * seconds : n])
      )
      below = plus(below, own)
      add(this.#labels("http_request_duration_seconds_bucket", { handler, le }), below)
    }
    add(this.#labels("http_request_duration_seconds_sum", { handler }), sum)
    add(this.#labels("http_request_duration_seconds_count", { handler }), below)
  }

  #queue(add: Add, queue: string): void {
    add(
      this.#labels("queue_depth", { queue }),
      this.#gauge((time, random) => Math.floor(40 * activity(time) * random * random))
    )
    add(
      this.#labels("queue_seconds_per_job", { queue }),
      this.#gauge((_, random) => (random < 0.01 ? Number.POSITIVE_INFINITY : Math.round(random * 9000) / 1e6))
    )
  }

  /** A new version goes live at noon UTC: one series ends and another begins on each day. */
  #builds(add: Add): void {
    const version = (time: number) => Math.floor((time + day / 2) / day)
    const all = this.#gauge(() => 1)
    const from = version(this.span.startMillis)
    for (let current = from; current <= version(this.span.endMillis); current++) {
      const own = all.filter(([time]) => version(time) === current)
      const next = all.find(([time]) => version(time) > current)
      // The scrape that no longer finds a series marks it stale.
      if (next !== undefined && own.length > 0) own.push([next[0], "stale"])
      add(this.#labels("app_build_info", { version: `4.${current % 1000}.0` }), own)
    }
  }

  #labels(name: string, labels: Readonly<Record<string, string>> = {}): LabelsInput {
    return { __name__: name, job: "shop", instance: this.instance.name, ...labels }
  }

  /** The times of all scrapes, and whether the instance was up. */
  *#scrapes(sinceMillis = this.span.startMillis): Generator<readonly [timeMillis: number, up: boolean]> {
    const { intervalMillis, endMillis } = this.span
    const first = Math.ceil((sinceMillis - this.instance.offsetMillis) / intervalMillis)
    for (let tick = first; ; tick++) {
      const time = tick * intervalMillis + this.instance.offsetMillis
      if (time > endMillis) return
      yield [time, time - this.#downSince(time) >= this.instance.downMillis]
    }
  }

  /** The last time at or before `timeMillis` at which the instance went down. */
  #downSince(timeMillis: number): number {
    return Math.floor((timeMillis - this.instance.restartMillis) / day) * day + this.instance.restartMillis
  }

  /** When the process that runs at `timeMillis` was started. */
  #startedMillis(timeMillis: number): number {
    return this.#downSince(timeMillis) + this.instance.downMillis
  }

  /** Samples of a gauge: a value per scrape while the instance is up, a stale marker when it goes down. */
  #gauge(value: (timeMillis: number, random: number) => number): Array<readonly [number, MockValue]> {
    const id = this.#series++
    const samples: Array<readonly [number, MockValue]> = []
    let wasUp = false
    for (const [time, up] of this.#scrapes()) {
      if (up) samples.push([time, value(time, this.#random(id, time))])
      else if (wasUp) samples.push([time, "stale"])
      wasUp = up
    }
    return samples
  }

  /** Samples of a counter: the total since the process started. A restart resets it. */
  #counter(increase: (timeMillis: number, random: number) => number): Array<readonly [number, MockValue]> {
    const id = this.#series++
    const samples: Array<readonly [number, MockValue]> = []
    const sinceMillis = this.#downSince(this.span.startMillis)
    let total = 0
    let wasUp = false
    for (const [time, up] of this.#scrapes(sinceMillis)) {
      total = up ? total + increase(time, this.#random(id, time)) : 0
      if (time >= this.span.startMillis) {
        if (up) samples.push([time, total])
        else if (wasUp) samples.push([time, "stale"])
        wasUp = up
      }
    }
    return samples
  }

  #random(id: number, timeMillis: number): number {
    return noise(this.span.seed, id, Math.floor(timeMillis / this.span.intervalMillis))
  }
}

type Samples = Array<readonly [number, MockValue]>

/** Adds two counters with the same scrapes. */
const plus = (a: Samples, b: Samples): Samples =>
  a.length === 0
    ? b
    : a.map(([time, x], i) => {
        const y = b[i]?.[1]
        return [time, typeof x === "number" && typeof y === "number" ? x + y : "stale"]
      })

/** Rounds sums, which have rounding errors, to the kernel's unit of hundredths. */
const hundredths = (samples: Samples): Samples =>
  samples.map(([time, x]) => [time, typeof x === "number" ? Math.round(x * 100) / 100 : x])
