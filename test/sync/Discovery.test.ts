/** The discovered streams, and the requests for them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Option } from "effect"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import type { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { discover, discoverNames, discoveryRange } from "../../src/sync/Discovery.ts"
import { DAY, HOUR, iso, LOOKBACK, namesOf, provide, requestsTo, run, series, start } from "./discoverMock.ts"

describe("discover", () => {
  it.effect("finds every metric with its labels, sorted", () =>
    Effect.gen(function* () {
      const { result } = yield* run()
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, ...labels]),
        [
          ["go_gc", "job"],
          ["latency_bucket", "job", "le"],
          ["latency_sum", "job"],
          ["requests_total", "code", "job"],
          ["up", "instance", "job", "zone"]
        ]
      )
    })
  )

  it.effect("keeps the metrics that are included and not excluded", () =>
    Effect.gen(function* () {
      const filtered = (metrics: object) => namesOf({ config: { metrics } })
      assert.deepStrictEqual(yield* filtered({ include: ["latency_*", "up"] }), [
        "latency_bucket",
        "latency_sum",
        "up"
      ])
      assert.deepStrictEqual(yield* filtered({ exclude: ["go_*", ".*_bucket"] }), [
        "latency_sum",
        "requests_total",
        "up"
      ])
      assert.deepStrictEqual(yield* filtered({ include: ["latency_*"], exclude: ["*_sum"] }), [
        "latency_bucket"
      ])
      assert.deepStrictEqual(yield* filtered({ include: ["nothing"] }), [])
      assert.deepStrictEqual(yield* filtered({ include: ["u"] }), [])
    })
  )

  it.effect("requests the labels of the selected metrics only", () =>
    Effect.gen(function* () {
      const { mock } = yield* run({ config: { metrics: { include: ["up"] } } })
      const matchers = requestsTo(mock, "/api/v1/labels").map(({ params }) => params.get("match[]"))
      assert.deepStrictEqual(new Set(matchers), new Set(['{__name__="up"}']))
    })
  )

  it.effect("finds metrics and labels of the selected series only", () =>
    Effect.gen(function* () {
      const { mock, result } = yield* run({ config: { selector: '{job="web"}' } })
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, ...labels]),
        [
          ["go_gc", "job"],
          ["up", "job", "zone"]
        ]
      )
      for (const { params, path } of mock.requests) {
        if (/label/.test(path)) assert.include(params.get("match[]"), 'job="web"')
      }
    })
  )

  it.effect("finds metadata by the name of a metric or of its family", () =>
    Effect.gen(function* () {
      const { result } = yield* run()
      assert.deepStrictEqual(
        result.map(({ metadata, name }) => [name, metadata?.type, metadata?.help]),
        [
          ["go_gc", undefined, undefined],
          ["latency_bucket", "histogram", "Latency."],
          ["latency_sum", "histogram", "Latency."],
          ["requests_total", "counter", "Requests."],
          ["up", "gauge", "Is it up?"]
        ]
      )
    })
  )

  it.effect("works without metadata", () =>
    Effect.gen(function* () {
      for (const status of [400, 404, 405]) {
        const faults = ({ path }: { readonly path: string }): Fault | undefined =>
          path === "/api/v1/metadata" ? { status, body: "no" } : undefined
        const { result } = yield* run({ mock: { faults } })
        assert.strictEqual(result.length, 5)
        assert.isTrue(result.every(({ metadata }) => metadata === undefined))
      }
    })
  )

  /** Whether a request asks which kind of server it is. */
  const asksForKind = (path: string): boolean => /^\/api\/v1\/(status\/|stores$)/.test(path)

  const requestCounts = (mock: MockPrometheus): ReadonlyArray<readonly [path: string, count: number]> => {
    const counts = new Map<string, number>()
    for (const { path } of mock.requests) {
      if (!asksForKind(path)) counts.set(path, (counts.get(path) ?? 0) + 1)
    }
    return [...counts].sort()
  }

  // Beside the range, its 16 parts, and the range without its end.
  const NAMES = 1 + 16 + 1
  // Beside the range, the only part that has metrics.
  const LABELS = 1 + 1

  it.effect("requests time and metadata once, and labels per metric if there are many labels", () =>
    Effect.gen(function* () {
      const { mock } = yield* run()
      assert.deepStrictEqual(requestCounts(mock), [
        ["/api/v1/label/__name__/values", NAMES],
        ["/api/v1/labels", LABELS + 5],
        ["/api/v1/metadata", 1],
        ["/api/v1/query", 1]
      ])
    })
  )

  /** Seven metrics, each with some of three labels. */
  const few = Array.from({ length: 7 }, (_, i) =>
    series({
      __name__: `m${i + 1}`,
      job: "api",
      ...(i % 2 === 0 ? { code: "200" } : {}),
      ...(i === 3 ? { Zone: "z" } : {})
    })
  )

  const labelsOfFew = few.map(({ labels }) =>
    labels.map(([name, value]) => (name === "__name__" ? value : name))
  )

  it.effect("requests per label if there are more metrics", () =>
    Effect.gen(function* () {
      const { mock, result } = yield* run({ series: few })
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, ...labels].sort()),
        labelsOfFew.map((names) => [...names].sort())
      )
      assert.deepStrictEqual(requestCounts(mock), [
        ["/api/v1/label/__name__/values", NAMES + 3],
        ["/api/v1/labels", LABELS],
        ["/api/v1/metadata", 1],
        ["/api/v1/query", 1]
      ])
    })
  )

  it.effect("requests per label for the selected series only", () =>
    Effect.gen(function* () {
      const other = Array.from({ length: 7 }, (_, i) =>
        series({ __name__: `m${i + 1}`, job: "web", code: "500", method: "get" })
      )
      const { result } = yield* run({ series: [...few, ...other], config: { selector: '{job="api"}' } })
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, ...labels].sort()),
        labelsOfFew.map((names) => [...names].sort())
      )
    })
  )

  it.effect("requests per metric if a service accepts nothing else", () =>
    Effect.gen(function* () {
      const faults = ({ params, path }: { readonly params: URLSearchParams; readonly path: string }) =>
        path.endsWith("/values") && params.has("match[]")
          ? { status: 400, body: '{"status":"error","errorType":"bad_data","error":"name one metric"}' }
          : undefined
      const { mock, result } = yield* run({ series: few, mock: { faults } })
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, ...labels].sort()),
        labelsOfFew.map((names) => [...names].sort())
      )
      assert.lengthOf(requestsTo(mock, "/api/v1/labels"), LABELS + 7)
    })
  )

  /** A server that counts series to list names, and refuses ranges of this many days. */
  const refusesDays =
    (days: number, applies: (request: MockRequest) => boolean = () => true) =>
    (request: MockRequest): Fault | undefined => {
      const [from, to] = ["start", "end"].map((key) => Number(request.params.get(key)) * 1000)
      return /label/.test(request.path) && to! - from! > days * DAY && applies(request)
        ? { status: 422, body: "the number of matching timeseries exceeds 300000" }
        : undefined
    }

  it.effect("requests names in parts of the range if the complete range is refused", () =>
    Effect.gen(function* () {
      const eachDay = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((day) => [
        series({ __name__: "up", [`label_${day}`]: "x" }, start + day * DAY + HOUR),
        series({ __name__: `metric_${day}`, job: "x" }, start + day * DAY + HOUR)
      ])
      const setting = { series: eachDay, now: start + 8 * DAY }
      const complete = yield* run(setting)
      const parts = yield* run({ ...setting, mock: { faults: refusesDays(2) } })
      assert.strictEqual(complete.result.length, 9)
      assert.strictEqual(complete.result.find(({ name }) => name === "up")?.labels.length, 8)
      assert.deepStrictEqual(parts.result, complete.result)
    })
  )

  it.effect(
    "omits the columns of a metric whose labels are refused even for a day, and reads the others",
    () =>
      Effect.gen(function* () {
        const faults = refusesDays(0, ({ params }) => params.get("match[]")?.includes('"up"') ?? false)
        const { result } = yield* run({ mock: { faults } })
        assert.deepStrictEqual(
          result.map(({ labels, name }) => [name, ...labels]),
          [
            ["go_gc", "job"],
            ["latency_bucket", "job", "le"],
            ["latency_sum", "job"],
            ["requests_total", "code", "job"],
            ["up"]
          ]
        )
      })
  )

  it.effect(
    "limits the names from parts of the range",
    () =>
      Effect.gen(function* () {
        let made = 0
        const refuses = refusesDays(2)
        const faults = (request: MockRequest): Fault | undefined => {
          const refusal = refuses(request)
          if (refusal !== undefined || !request.path.includes("__name__")) return refusal
          const data = Array.from({ length: 4000 }, () => `${made++}${"n".repeat(9000)}`)
          return { body: JSON.stringify({ status: "success", data }) }
        }
        const error = yield* Effect.flip(run({ now: start + 365 * DAY, mock: { faults } }))
        assert.match(error.message, /lists more names in all parts of the range than fit into memory\. /)
        assert.isAtMost(made, 5 * 4000)
      }),
    120_000
  )

  it.effect("limits a metric to a thousand columns, and logs it", () =>
    Effect.gen(function* () {
      const many = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`l${i + 1000}`, "x"]))
      const logs: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ message }) => void logs.push(message))])
      const { result } = yield* provide(Effect.provide(discover, logger), {
        series: [series({ __name__: "wide", ...many }), series({ __name__: "up", job: "x" })]
      })
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, labels.length, labels.at(-1)]),
        [
          ["up", 1, "job"],
          ["wide", 1000, "l1999"]
        ]
      )
      assert.deepStrictEqual(logs.flat(), [
        "wide has 1,500 labels. The first 1000 have columns of their own; records have the others in other_labels."
      ])
    })
  )

  it.effect("fails if the names of the metrics are refused even for a day", () =>
    Effect.gen(function* () {
      const faults = refusesDays(0, ({ path }) => path.includes("__name__"))
      const error = yield* Effect.flip(run({ mock: { faults } }))
      assert.strictEqual(error._tag === "PrometheusError" && error.reason, "TooManySeries")
    })
  )

  it.effect("requests no labels if all are in one object", () =>
    Effect.gen(function* () {
      const { mock, result } = yield* run({ config: { label_columns: false } })
      assert.deepStrictEqual(requestsTo(mock, "/api/v1/labels"), [])
      assert.lengthOf(
        mock.requests.filter(({ path }) => !asksForKind(path)),
        2 + NAMES
      )
      assert.deepStrictEqual(
        result.map(({ labels, name }) => [name, labels.length]),
        [
          ["go_gc", 0],
          ["latency_bucket", 0],
          ["latency_sum", 0],
          ["requests_total", 0],
          ["up", 0]
        ]
      )
    })
  )

  for (const concurrency of [1, 3]) {
    it.effect(`requests the labels of ${concurrency} metrics at a time`, () =>
      Effect.gen(function* () {
        const many = Array.from({ length: 20 }, (_, i) => series({ __name__: `m${i}`, [`l${i}`]: "x" }))
        const faults = ({ path }: { readonly path: string }): Fault | undefined =>
          path === "/api/v1/labels" ? { delayMillis: 1000 } : undefined
        const { mock, result } = yield* run({ series: many, config: { concurrency }, mock: { faults } })
        for (const { labels, name } of result) assert.deepStrictEqual(labels, [name.replace("m", "l")])
        const times = requestsTo(mock, "/api/v1/labels").map(({ nowMillis }) => nowMillis)
        const most = Math.max(
          ...times.map((time) => times.filter((t) => t <= time && t > time - 1000).length)
        )
        assert.strictEqual(most, concurrency)
      })
    )
  }

  it.effect("finds nothing on an empty server", () =>
    Effect.gen(function* () {
      const { mock, result } = yield* run({ series: [] })
      assert.deepStrictEqual(result, [])
      assert.strictEqual(requestsTo(mock, "/api/v1/labels").length, 0)
    })
  )

  it.effect("fails if the names cannot be read", () =>
    Effect.gen(function* () {
      const faults = ({ path }: { readonly path: string }): Fault | undefined =>
        path.includes("__name__") ? { status: 401, body: "who are you?" } : undefined
      const error = yield* Effect.flip(run({ mock: { faults } }))
      assert.strictEqual(error._tag === "PrometheusError" && error.reason, "Unauthorized")
    })
  )
})

describe("the range of the names", () => {
  const asked = Effect.fnUntraced(function* (config: object, now = start + DAY) {
    const { mock, result } = yield* provide(discoverNames, { config, now })
    const [request] = requestsTo(mock, "/api/v1/label/__name__/values")
    // If it ends at midnight, one more millisecond is requested.
    const times = ["start", "end"].map((key) => Math.floor(Number(request?.params.get(key))) * 1000)
    assert.deepStrictEqual(times, [result.range.startMillis, result.range.endMillis])
    return times
  })

  it.effect("is from start_date, less the server's look-back, to now", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* asked({}), [start - LOOKBACK, start + DAY])
    })
  )

  it.effect("ends at end_date if that has passed", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* asked({ end_date: iso(start + HOUR) }), [start - LOOKBACK, start + HOUR])
      assert.deepStrictEqual(yield* asked({ end_date: iso(start + 9 * DAY) }), [
        start - LOOKBACK,
        start + DAY
      ])
    })
  )

  it.effect("is the last day while start_date is in the future", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* asked({ start_date: iso(start + 9 * DAY) }), [
        start - LOOKBACK,
        start + DAY
      ])
    })
  )

  it.effect("omits metrics that ended before it or begin after it", () =>
    Effect.gen(function* () {
      const all = [
        series({ __name__: "before" }, start - LOOKBACK - 1),
        series({ __name__: "within" }, start - LOOKBACK),
        series({ __name__: "last" }, start + HOUR),
        series({ __name__: "after" }, start + HOUR + 1)
      ]
      const config = { end_date: iso(start + HOUR) }
      assert.deepStrictEqual(yield* namesOf({ series: all, config }), ["last", "within"])
    })
  )

  it("never begins before the epoch and is never reversed", () => {
    const of = (startMillis: number, end: number | undefined, now: number) =>
      discoveryRange({ startMillis, endMillis: Option.fromNullishOr(end) }, now, LOOKBACK)
    assert.deepStrictEqual(of(0, undefined, DAY), { startMillis: 0, endMillis: DAY })
    assert.deepStrictEqual(of(HOUR, undefined, 1000), { startMillis: 0, endMillis: 1000 })
    for (const [from, end, now] of [
      [0, 0, DAY],
      [DAY, DAY, DAY],
      [5 * DAY, 6 * DAY, DAY],
      [DAY, 2 * DAY, 9 * DAY]
    ] as const) {
      const { endMillis, startMillis } = of(from, end, now)
      assert.isAtMost(startMillis, endMillis)
      assert.isAtMost(endMillis, now)
    }
  })
})
