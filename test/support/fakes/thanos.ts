/** Fakes of what Thanos Query and its frontend do, as measured on Thanos 0.42.5. */
import {
  type Answer,
  changeJson,
  changeMatrix,
  isInstant,
  isList,
  isRange,
  json,
  type Layer,
  type Matrix,
  refusal,
  spanOf,
  success,
  withMatcher,
  withMembers
} from "./fake.ts"

/** A store: the series with `store="NAME"`. */
export interface Store {
  readonly name: string
  /** While it is down. A function may depend on what was requested. */
  readonly lastError: () => string | null
  /** Whether a query notices, as it does in the first seconds; later the store is left out without a warning. */
  readonly isNoticed?: () => boolean
}

/** Thanos Query with stores. While one is down, its series are missing. */
export const stores = (...all: ReadonlyArray<Store>): Layer => {
  return async (ask, next) => {
    if (ask.path === "/api/v1/stores") {
      return success({
        sidecar: all.map(({ lastError, name }) => ({
          name: `10.0.0.7:10901 ${name}`,
          lastCheck: new Date().toISOString(),
          lastError: lastError(),
          labelSets: [{ store: name }],
          minTime: 0,
          maxTime: Number.MAX_SAFE_INTEGER
        }))
      })
    }
    if (ask.path === "/api/v1/status/buildinfo") return success({ version: "0.42.5", goVersion: "go1.25.5" })
    const isQuery = isRange(ask) || isInstant(ask)
    if (!isQuery && !isList(ask)) return next(ask)
    const down = all.filter(({ lastError }) => lastError() !== null)
    const noticed = down.filter(({ isNoticed }) => isNoticed?.() ?? false)
    const words = noticed.map(({ name }) => `receive series from ${name}: rpc error: code = Unavailable`)
    if (words.length > 0 && ask.params.get("partial_response") === "false") {
      return refusal(422, `expanding series: proxy Series(): rpc error: code = Aborted desc = ${words[0]}`)
    }
    const left = down.reduce((ask, { name }) => withMatcher(ask, `store!="${name}"`), ask)
    const answer = await next(left)
    const partial = words.length === 0 ? answer : withMembers(answer, { warnings: words })
    return isQuery ? withAnalysis(partial) : partial
  }
}

const withAnalysis = (answer: Answer): Answer =>
  changeJson(answer, (envelope) => ({ ...envelope, data: { ...(envelope.data as object), analysis: {} } }))

/** Before the first block, no store is asked, and a warning says so. */
export const noStoresBefore =
  (first: number): Layer =>
  (ask, next) => {
    if (!(isRange(ask) || isList(ask) || isInstant(ask)) || spanOf(ask).end >= first) return next(ask)
    const warnings = ["No StoreAPIs matched for this query"]
    if (isList(ask)) return json(200, { status: "success", data: [], warnings })
    const resultType = isRange(ask) ? "matrix" : "vector"
    return json(200, { status: "success", data: { resultType, result: [], analysis: {} }, warnings })
  }

/**
 * Raw data only from a time on: what is older was downsampled. Without a request for coarser data, which is the default of Thanos
 * Query, and with `max_source_resolution=0s`, older points do not exist.
 */
export const downsampledBefore =
  (rawFrom: number): Layer =>
  async (ask, next) => {
    const answer = await next(ask)
    const resolution = ask.params.get("max_source_resolution") ?? "0s"
    const takesCoarse = resolution === "auto" || !/^0+[a-z]*$/.test(resolution)
    if (!isRange(ask) || takesCoarse) return answer
    return changeMatrix(answer, (series) => ({
      ...series,
      values: series.values.filter(([time]) => time * 1000 >= rawFrom)
    }))
  }

/**
 * A result cache, as that of the query frontends of Thanos and Cortex: a point that was requested once keeps its value, unless the
 * request has `Cache-Control: no-store`.
 */
export const resultCache = (): Layer => {
  const known = new Map<string, Map<number, ReadonlyMap<string, Entry>>>()
  return async (ask, next) => {
    const answer = await next(ask)
    const bypasses = /no-store/i.test(ask.headers["cache-control"] ?? "")
    if (!isRange(ask) || bypasses || typeof answer === "string" || answer.status !== 200) return answer
    const key = `${ask.params.get("query")} ${ask.params.get("step")}`
    const points = known.get(key) ?? new Map<number, ReadonlyMap<string, Entry>>()
    known.set(key, points)
    const { end, start, step } = spanOf(ask)
    return changeJson(answer, (envelope) => {
      const data = envelope.data as { readonly result: ReadonlyArray<Matrix> }
      const fresh = byTime(data.result)
      const result = new Map<string, { metric: Matrix["metric"]; values: Array<Matrix["values"][0]> }>()
      for (let time = start; time <= end; time += step) {
        const entries = points.get(time) ?? fresh.get(time) ?? new Map<string, Entry>()
        points.set(time, entries)
        for (const [series, { metric, value }] of entries) {
          const found = result.get(series) ?? { metric, values: [] }
          result.set(series, found)
          found.values.push([time / 1000, value])
        }
      }
      return { ...envelope, data: { ...data, result: [...result.values()] } }
    })
  }
}

interface Entry {
  readonly metric: Matrix["metric"]
  readonly value: string
}

const byTime = (result: ReadonlyArray<Matrix>) => {
  const points = new Map<number, Map<string, Entry>>()
  for (const { metric, values } of result) {
    for (const [time, value] of values) {
      const millis = Math.round(time * 1000)
      const entries = points.get(millis) ?? new Map<string, Entry>()
      points.set(millis, entries)
      entries.set(JSON.stringify(metric), { metric, value })
    }
  }
  return points
}
