/** The search for the first samples, on servers whose lists and expressions are cut, refused or silent: it may never cost a record. */
import { describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  assertWhole,
  day,
  expectedFrom,
  hour,
  iso,
  LivelySource,
  longEnd,
  read,
  start
} from "../support/fakes/basic.ts"
import {
  type Ask,
  fake,
  isList,
  isRange,
  json,
  type Layer,
  refusal,
  success,
  text
} from "../support/fakes/fake.ts"
import { answerTo } from "../support/fakes/faults.ts"
import { clampLists, cortex, limitRanges, longerThan, lookback, mimir } from "../support/fakes/mimir.ts"
import { changeLists } from "../support/fakes/partial.ts"

const names = ["long_early", "long_late", "long_middle", "long_short"]

/** A year before the first sample, at a step that makes the empty part worth a search. */
const config = {
  start_date: iso(start - 365 * day),
  end_date: iso(longEnd),
  step: 900,
  headers: [{ name: "X-Scope-OrgID", value: "team-a" }]
}

const expected = (server: { readonly baseUrl: string }, from = start, metrics = names) =>
  expectedFrom(server, { metrics, from, to: longEnd, stepSeconds: 900 })

const isExpression = (ask: Ask): boolean => isRange(ask) && /\(/.test(ask.params.get("query") ?? "")

/** Servers whose help in the search is bad. */
const servers: ReadonlyArray<readonly [string, ReadonlyArray<Layer>]> = [
  ["lists of the last month", [mimir(), clampLists(30 * day)]],
  ["lists of the last day", [mimir(), clampLists(day)]],
  ["lists of the last hour", [cortex, clampLists(hour)]],
  ["no lists", [answerTo(isList, () => text(404, "404 page not found\n"))]],
  ["empty lists", [changeLists(isList, () => [])]],
  ["lists of other names", [changeLists(isList, () => ["other"])]],
  [
    "expressions refused with 400",
    [answerTo(isExpression, () => refusal(400, "functions are not supported", "bad_data"))]
  ],
  ["expressions refused with 422", [answerTo(isExpression, () => refusal(422, "unknown function"))]],
  ["expressions forbidden", [answerTo(isExpression, () => text(403, "Forbidden\n"))]],
  ["expressions that fail", [answerTo(isExpression, () => refusal(500, "boom", "internal"))]],
  [
    "expressions that answer with nothing, with a warning",
    [
      answerTo(isExpression, () =>
        json(200, {
          status: "success",
          data: { resultType: "matrix", result: [] },
          warnings: ["a store is away"]
        })
      )
    ]
  ],
  [
    "expressions of the wrong type",
    [answerTo(isExpression, () => success({ resultType: "scalar", result: [0, "1"] }))]
  ],
  ["a limit of the range", [limitRanges(longerThan(20 * day), 422, "too long for you")]],
  [
    "a limit of the range, as Mimir says it, and clamped lists",
    [
      mimir(),
      clampLists(7 * day),
      limitRanges(
        longerThan(20 * day),
        422,
        "the query time range exceeds the limit (err-mimir-max-query-length)"
      )
    ]
  ]
]

describe("the search for the first samples", { concurrent: true }, () => {
  layer(LivelySource.layer, { timeout: 120_000 })((it) => {
    for (const [name, layers] of servers) {
      it.effect(`costs no record with ${name}`, () =>
        Effect.gen(function* () {
          const server = yield* LivelySource
          const { baseUrl } = yield* fake(server.baseUrl, ...layers)
          assertWhole(yield* read(baseUrl, { names, config }), yield* expected(server))
        })
      )
    }

    for (const [days, clamp] of [
      [12, day],
      [26, 7 * day],
      [45, hour],
      [20, 30 * day]
    ] as const) {
      it.effect(`costs no record with a look-back from day ${days} on and lists of ${clamp / day} days`, () =>
        Effect.gen(function* () {
          const server = yield* LivelySource
          const earliest = start + days * day + 41_234
          const { baseUrl } = yield* fake(server.baseUrl, mimir(), lookback(earliest), clampLists(clamp))
          const output = yield* read(baseUrl, { names: [...names, "long_all"], config })
          assertWhole(output, yield* expected(server, earliest, [...names, "long_all"]))
        })
      )
    }
  })
})
