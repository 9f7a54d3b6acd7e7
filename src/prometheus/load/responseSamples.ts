/** How many samples responses are expected to have, and how many they had. */
import { Effect, type Scope, Stream } from "effect"
import type { SampleBlock } from "../../samples/Sample.ts"
import type { SeriesCache } from "../../samples/Series.ts"
import type { PrometheusError } from "../PrometheusError.ts"
import { ExpectedSamples, type LoadBudget } from "./LoadBudget.ts"
import { CurrentLoadMeter } from "./LoadMeter.ts"

type Blocks = Stream.Stream<SampleBlock, PrometheusError>

/** A query, which its cache of series identifies. */
type Query = { readonly series?: SeriesCache }

/** The samples of the responses of one endpoint. Those for the same query have about as many per unit of their range. */
export const makeResponseSamples = (budget: LoadBudget) => {
  const densities = new WeakMap<SeriesCache, number>()

  /** Charges the samples that arrived instead of those that were expected. */
  const settle = (samples: ExpectedSamples) =>
    Effect.suspend(() => {
      if (samples.isSettled) return Effect.void
      samples.isSettled = true
      return budget.settle(samples)
    })

  return {
    /** Expects a response for a range of so many units. The scope is that of the response. */
    expect: ({ series }: Query, length: number): Effect.Effect<ExpectedSamples, never, Scope.Scope> =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const density = series === undefined ? undefined : densities.get(series)
          return new ExpectedSamples(length, Math.round((density ?? 0) * length))
        }),
        settle
      ),
    /** Counts the samples of the response as they arrive. */
    count: ({ series }: Query, samples: ExpectedSamples, blocks: Blocks): Effect.Effect<Blocks> =>
      Effect.map(CurrentLoadMeter, (meter) => {
        samples.hasResponse = true
        const end = Effect.suspend(() => {
          samples.isComplete = true
          if (series !== undefined) densities.set(series, samples.arrived / samples.length)
          return settle(samples)
        })
        return blocks.pipe(
          Stream.mapArray((blocks) => {
            let arrived = 0
            for (const { length } of blocks) arrived += length
            samples.arrived += arrived
            meter.samples += arrived
            return blocks
          }),
          Stream.concat(Stream.fromEffectDrain(end))
        )
      })
  }
}
