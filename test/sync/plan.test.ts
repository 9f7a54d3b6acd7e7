import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { noStreamSettings } from "../../src/config/StreamSettings.ts"
import { Part, plan, StreamPlan, type StreamRequest } from "../../src/sync/plan.ts"
import { encodeStreamState, StreamState } from "../../src/sync/StreamState.ts"
import { type GridRange, pointCount } from "../../src/sync/TimeGrid.ts"
import { type Choices, choices } from "../choices.ts"
import { iso, minute, start } from "../support/gauge.ts"

const settings = {
  startMillis: start,
  endMillis: Option.none<number>(),
  settleDelayMillis: 0,
  stepSeconds: 60,
  sampling: "step" as const,
  lookbackMillis: 0,
  matchers: [],
  excludedLabels: new Set<string>(),
  metrics: { include: [], exclude: [] },
  ...noStreamSettings
}

/** The state after some minutes. */
const stateAt = (minutes: number, more: Partial<StreamState> = {}) =>
  new StreamState({ time: iso(start + minutes * minute), step: 60, version: 1, ...more })

const readSpans = (...spans: ReadonlyArray<readonly [number, number]>) => ({
  read: spans.map(([from, to]) => [iso(start + from * minute), iso(start + to * minute)] as const)
})

const incremental: StreamRequest = { name: "m", mode: "incremental" }
const refresh: StreamRequest = { name: "m", mode: "full_refresh", generationId: 3 }

/** The plan of one stream at minute 100. */
const planOf = (given: {
  readonly state?: StreamState
  readonly request?: StreamRequest
  readonly settings?: Partial<typeof settings>
  readonly detailedStates?: boolean
  readonly now?: number
}): StreamPlan => {
  const states = new Map(given.state === undefined ? [] : [["m", given.state]])
  const [planned] = plan(
    [given.request ?? incremental],
    states,
    { ...settings, ...given.settings },
    start + (given.now ?? 100) * minute,
    { detailedStates: given.detailedStates ?? false }
  )
  return planned!
}

const minutesOf = ({ firstMillis, lastMillis }: GridRange) => [
  (firstMillis - start) / minute,
  (lastMillis - start) / minute
]

/** Each part as its reason and its first and last minute. */
const partsOf = ({ parts }: StreamPlan) => parts.map(({ range, reason }) => [reason, ...minutesOf(range)])

describe("the parts of a stream", () => {
  it("are all points up to the last settled one, without a state", () => {
    assert.deepStrictEqual(partsOf(planOf({})), [["start", 0, 100]])
    assert.deepStrictEqual(partsOf(planOf({ settings: { settleDelayMillis: 60_001 } })), [["start", 0, 98]])
    assert.deepStrictEqual(partsOf(planOf({ settings: { endMillis: Option.some(start + 7 * minute) } })), [
      ["start", 0, 7]
    ])
  })

  it("resume after a state, minus the look-back", () => {
    assert.deepStrictEqual(partsOf(planOf({ state: stateAt(60) })), [["resume", 61, 100]])
    assert.deepStrictEqual(
      partsOf(planOf({ state: stateAt(60), settings: { lookbackMillis: 5 * minute } })),
      [["resume", 56, 100]]
    )
    assert.deepStrictEqual(partsOf(planOf({ state: stateAt(2), settings: { lookbackMillis: 5 * minute } })), [
      ["resume", 0, 100]
    ])
  })

  it("are none if nothing is new, or if the state is in the future", () => {
    for (const state of [stateAt(100), stateAt(1_000_000)]) {
      const planned = planOf({ state })
      assert.deepStrictEqual(partsOf(planned), [])
      assert.strictEqual(planned.points, 0)
      assert.strictEqual(pointCount(planned.range), 0)
      assert.deepStrictEqual(encodeStreamState(planned.unchangedCheckpoint.state), encodeStreamState(state))
    }
    assert.deepStrictEqual(partsOf(planOf({ now: -5 })), [])
  })

  it("include the gaps of a moved start if states are detailed", () => {
    const state = stateAt(60, readSpans([20, 40], [50, 60]))
    const gaps = [
      ["gap", 0, 19],
      ["gap", 41, 49],
      ["resume", 61, 100]
    ]
    assert.deepStrictEqual(partsOf(planOf({ state, detailedStates: true })), gaps)
    assert.deepStrictEqual(partsOf(planOf({ state })), [["resume", 61, 100]])
    assert.deepStrictEqual(partsOf(planOf({ state: stateAt(60), detailedStates: true })), [
      ["resume", 61, 100]
    ])
  })

  it("end at the configured end, even in a gap", () => {
    const state = stateAt(60, readSpans([0, 10], [20, 60]))
    const ended = { endMillis: Option.some(start + 15 * minute) }
    assert.deepStrictEqual(partsOf(planOf({ state, detailedStates: true, settings: ended })), [
      ["gap", 11, 15]
    ])
  })

  it("start again if the state belongs to another refresh", () => {
    const own = { full_refresh: true, generation_id: 3 } as const
    const resumes = (state: StreamState, request = refresh) =>
      partsOf(planOf({ state, request }))[0]![0] === "resume"
    assert.isTrue(resumes(stateAt(60, own)))
    assert.isFalse(resumes(stateAt(60, { ...own, generation_id: 4 })))
    assert.isFalse(resumes(stateAt(60, { ...own, step: 120 })))
    assert.isFalse(resumes(stateAt(60)))
    assert.isFalse(resumes(stateAt(60, own), incremental))
    // The start was moved forward since.
    assert.isFalse(resumes(stateAt(60, { ...own, ...readSpans([-10, 60]) })))
  })
})

describe("the checkpoint of a plan", () => {
  const encoded = (planned: StreamPlan, minutes: number) => {
    const { points, state } = planned.checkpointAt(start + minutes * minute)
    return { points, ...encodeStreamState(state) }
  }

  it("has the time of its last point and the step", () => {
    assert.deepStrictEqual<unknown>(encoded(planOf({}), 9), {
      points: 10,
      time: iso(start + 9 * minute),
      step: 60,
      version: 1
    })
  })

  it("never has a time before the state that was resumed", () => {
    const planned = planOf({ state: stateAt(60, { step: 30 }), settings: { lookbackMillis: 5 * minute } })
    assert.deepStrictEqual<unknown>(encoded(planned, 58), {
      points: 3,
      time: iso(start + 60 * minute),
      step: 30,
      version: 1
    })
  })

  it("lists the ranges, the selector and the excluded labels if states are detailed", () => {
    const planned = planOf({
      state: stateAt(60, readSpans([20, 60])),
      detailedStates: true,
      settings: { matchers: [{ label: "env", operator: "=", value: "prod" }] as never }
    })
    assert.deepStrictEqual<unknown>(encoded(planned, 9), {
      points: 10,
      time: iso(start + 60 * minute),
      step: 60,
      version: 1,
      ...readSpans([0, 9], [20, 60]),
      selector: '{env="prod"}',
      excluded_labels: ""
    })
    assert.deepStrictEqual(encoded(planned, 70).read, readSpans([0, 70]).read)
    assert.strictEqual(encoded(planned, 70).points, 30)
  })

  it.effect("lists for a group all that decides which metrics it has", () =>
    Effect.gen(function* () {
      const selectorOf = Effect.fnUntraced(function* (config: object) {
        const settings = yield* Effect.provide(
          ConnectorConfig,
          ConnectorConfig.layerFrom({ base_url: "http://mock", start_date: iso(start), ...config })
        )
        const [planned] = plan([{ ...incremental, name: "rest" }], new Map(), settings, start, {
          detailedStates: true
        })
        return planned?.details?.selector
      })
      const rest = { name: "rest", metrics: { include: ["*"], exclude: ["x"] } }
      const apps = { name: "apps", metrics: { include: ["app_*"] } }
      assert.strictEqual(yield* selectorOf({ groups: [rest] }), "*, but not x")
      // A later group has none of its metrics.
      assert.strictEqual(yield* selectorOf({ groups: [rest, apps] }), "*, but not x")
      assert.strictEqual(
        yield* selectorOf({
          groups: [apps, rest],
          metrics: { include: ["app_*", "node_*"] },
          selector: 'env="prod"'
        }),
        '*, but not x among app_*, node_* without the group app_* {env="prod"}'
      )
    })
  )

  it("lists the holes up to its last point, until they have been read", () => {
    const hole = (first: number, last: number) => ({
      firstMillis: start + first * minute,
      lastMillis: start + last * minute
    })
    const holes = [hole(5, 7), hole(30, 30)]
    const planned = planOf({ detailedStates: true })
    const { state } = planned.checkpointAt(start + 20 * minute, holes)
    assert.strictEqual(state.time, iso(start + 4 * minute))
    assert.deepStrictEqual(state.read, readSpans([0, 4], [8, 20]).read)
    assert.deepStrictEqual(state.read_again, readSpans([5, 7]).read)
    // The next sync reads these points again, and the others that are listed.
    const next = planOf({
      state: new StreamState({ ...state, read_again: readSpans([5, 7], [10, 12]).read }),
      detailedStates: true
    })
    assert.deepStrictEqual(partsOf(next), [
      ["gap", 5, 7],
      ["gap", 10, 12],
      ["resume", 21, 100]
    ])
    assert.deepStrictEqual(next.checkpointAt(start + 8 * minute).state.read_again, readSpans([10, 12]).read)
    assert.isUndefined(next.checkpointAt(start + 50 * minute).state.read_again)
    // Not in a hole that was read before: its rows stay.
    const before = planOf({
      state: stateAt(60, readSpans([0, 60])),
      detailedStates: true,
      settings: { lookbackMillis: 10 * minute }
    })
    const reread = before.checkpointAt(start + 70 * minute, [hole(55, 56)]).state
    assert.deepStrictEqual(reread.read, readSpans([0, 70]).read)
    assert.isUndefined(reread.read_again)
  })

  it("is marked with the refresh", () => {
    assert.deepInclude(encoded(planOf({ request: refresh }), 5), { full_refresh: true, generation_id: 3 })
    assert.notProperty(encoded(planOf({}), 5), "full_refresh")
  })
})

/** Any state, request and settings. */
const randomPlan = (choices: Choices): StreamPlan => {
  const spans = choices.oneIn(2)
    ? choices.list(4, (i) => [i * 30 + choices.below(15), i * 30 + 15 + choices.below(14)] as const)
    : undefined
  const state = stateAt(choices.between(-10, 150), {
    ...(spans === undefined ? {} : readSpans(...spans)),
    ...(choices.oneIn(2) ? { full_refresh: true as const } : {}),
    ...(choices.oneIn(3) ? { generation_id: choices.below(4) } : {}),
    ...(choices.oneIn(3) ? { selector: '{a="b"}', excluded_labels: "" } : {})
  })
  return planOf({
    ...(choices.oneIn(4) ? {} : { state }),
    request: choices.oneIn(2) ? refresh : incremental,
    detailedStates: choices.oneIn(2),
    now: choices.between(-5, 200),
    settings: {
      stepSeconds: choices.pick([1, 60, 90, 3600]),
      lookbackMillis: choices.pick([0, 1, 600_000])
    }
  })
}

describe("another process", () => {
  const throughJson = <S extends Schema.Codec<unknown, unknown>>(schema: S, value: S["Type"]): S["Type"] =>
    Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(Schema.encodeSync(schema)(value))))

  it.prop("has the same plan, parts and checkpoints", [choices], ([choices]) => {
    const planned = randomPlan(choices)
    const other = throughJson(StreamPlan, planned)
    assert.deepStrictEqual(other, planned)
    for (const part of planned.parts) assert.deepStrictEqual(throughJson(Part, part), part)
    const at = start + choices.between(-10, 200) * minute
    assert.deepStrictEqual(other.checkpointAt(at), planned.checkpointAt(at))
    assert.deepStrictEqual(other.range, planned.range)
  })
})

describe("any plan", () => {
  it.prop("has disjoint parts in order, on the grid, each with points", [choices], ([choices]) => {
    const planned = randomPlan(choices)
    let before = Number.NEGATIVE_INFINITY
    for (const { range } of planned.parts) {
      assert.isAbove(pointCount(range), 0)
      assert.isAbove(range.firstMillis, before)
      assert.strictEqual(range.firstMillis % range.stepMillis, 0)
      assert.isAtLeast(range.firstMillis, planned.grid.firstMillis)
      assert.isAtMost(range.lastMillis, planned.grid.lastMillis)
      before = range.lastMillis
    }
    if (planned.points > 0) {
      const last = planned.parts.at(-1)!.range.lastMillis
      assert.strictEqual(planned.checkpointAt(last).points, planned.points)
    }
  })
})
