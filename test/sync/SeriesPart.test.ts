import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { parseSelector, type Selector } from "../../src/mock/evaluate.ts"
import type { PrometheusError } from "../../src/prometheus/PrometheusError.ts"
import { type Matcher, render } from "../../src/promql/Matcher.ts"
import { type PartIndex, SeriesPart, split } from "../../src/sync/SeriesPart.ts"
import { type Choices, choices } from "../choices.ts"
import { runs } from "../support/runs.ts"

type Labels = ReadonlyMap<string, string>

const valueOf = (series: Labels, label: string): string => series.get(label) ?? ""

/** The selectors of the parts, since most are used for each series. */
const selectors = new WeakMap<ReadonlyArray<Matcher>, Selector>()

const selected = (all: ReadonlyArray<Labels>, matchers: ReadonlyArray<Matcher>): ReadonlyArray<Labels> => {
  const selector = selectors.get(matchers) ?? Result.getOrThrow(parseSelector(render(matchers)))
  selectors.set(matchers, selector)
  return all.filter((series) => selector.matches([...series]))
}

/** Series in memory. `knows` selects those that are listed. */
const indexOf = (
  knows: (matchers: ReadonlyArray<Matcher>) => ReadonlyArray<Labels>,
  asked: Array<string> = []
): PartIndex => ({
  labelNames: (matchers) => {
    asked.push("names")
    const names = knows(matchers).flatMap((series) => [...series.keys()])
    return Effect.succeed([...new Set(names)].filter((name) => name !== "__name__"))
  },
  labelValues: (label, matchers) => {
    asked.push(label)
    const values = knows(matchers).map((series) => valueOf(series, label))
    return Effect.succeed([...new Set(values)].filter((value) => value !== ""))
  }
})

const series = (labels: Record<string, string>): Labels =>
  new Map(Object.entries({ __name__: "m", ...labels }))

const randomSeries = (random: Choices): ReadonlyArray<Labels> => {
  const all = new Map<string, Labels>()
  for (const labels of random.list(25, () => {
    const labels = new Map([["__name__", "m"]])
    // Labels that all series have, that few have, that are unique, and that are constant.
    if (!random.oneIn(9)) labels.set("instance", `10.0.${random.below(3)}.${random.below(40)}:9100`)
    if (random.oneIn(3)) labels.set("mode", random.pick(["idle", "user", "a\nb", "(x|y)"]))
    if (random.oneIn(5)) labels.set("rare", "é😀")
    if (random.oneIn(2)) labels.set("job", "node")
    return labels
  }))
    all.set(JSON.stringify([...labels]), labels)
  return all.size === 0 ? [series({})] : [...all.values()]
}

/** Splits until every part has one series, and returns the parts. */
const splitAll = (
  part: SeriesPart,
  all: ReadonlyArray<Labels>,
  index: PartIndex
): Effect.Effect<ReadonlyArray<SeriesPart>, PrometheusError> =>
  Effect.gen(function* () {
    if (selected(all, part.matchers).length <= 1) return [part]
    const halves = yield* split(part, index)
    assert.isDefined(halves)
    return (yield* Effect.forEach(halves!, (half) => splitAll(half, all, index))).flat()
  })

describe("split", () => {
  for (const [name, knowsAll] of [
    ["what each part has", false],
    ["what all parts have", true]
  ] as const) {
    it.effect.prop(
      `puts each series into one part, down to single series, of a server that lists ${name}`,
      { choices },
      ({ choices }) =>
        Effect.gen(function* () {
          const all = randomSeries(choices)
          // The labels of other metrics do not help, but the server may list them.
          const others = knowsAll ? [series({ id: "1" }), series({ id: "2" }), series({ job: "x" })] : []
          const asked: Array<string> = []
          const index = indexOf(
            (matchers) => (knowsAll ? [...all, ...others] : selected(all, matchers)),
            asked
          )
          const parts = yield* splitAll(new SeriesPart(), all, index)
          for (const one of all) {
            const owners = parts.filter(({ matchers }) => selected([one], matchers).length > 0)
            assert.lengthOf(owners, 1, JSON.stringify([...one]))
          }
          if (!knowsAll) assert.lengthOf(parts, all.length)
        }),
      { arbitrary: { runs: runs(9, 125) }, timeout: 60_000 }
    )
  }

  it.effect("reports that there is nothing to split", () =>
    Effect.gen(function* () {
      const one = [series({ a: "1", b: "2" })]
      assert.isUndefined(
        yield* split(
          new SeriesPart(),
          indexOf((matchers) => selected(one, matchers))
        )
      )
      assert.isUndefined(
        yield* split(
          new SeriesPart(),
          indexOf(() => [])
        )
      )
    })
  )

  it.effect("splits by the label with the most values, and requests them once", () =>
    Effect.gen(function* () {
      const all = Array.from({ length: 64 }, (_, n) => series({ n: String(n), code: String(n % 4) }))
      const asked: Array<string> = []
      const root = new SeriesPart()
      const parts = yield* splitAll(
        root,
        all,
        indexOf((matchers) => selected(all, matchers), asked)
      )
      assert.deepStrictEqual(asked, ["names", "n", "code"])
      assert.isTrue(parts.every(({ matchers }) => matchers.every(({ label }) => label === "n")))
      assert.isBelow(Math.max(...parts.map(({ matchers }) => matchers.length)), 10)
      assert.strictEqual(root.first, parts[0])
    })
  )

  it.effect("finds the series without a label", () =>
    Effect.gen(function* () {
      const all = [series({ a: "1" }), series({ a: "1", b: "2" }), series({})]
      const parts = yield* splitAll(
        new SeriesPart(),
        all,
        indexOf((matchers) => selected(all, matchers))
      )
      assert.deepStrictEqual(
        parts.map(({ matchers }) => render(matchers)),
        ['{a!="",b!=""}', '{a!="",b=""}', '{a=""}']
      )
    })
  )
})
