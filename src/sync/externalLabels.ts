/**
 * Whether the labels of stored series follow from those of a remote read, to which a server adds its external labels: without
 * them, a series must have the same identity as in the response to a query. Labels that no series has by itself must be on all
 * series of a response: otherwise it is from another server than the configuration.
 */
import { Effect } from "effect"
import type { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import type { TimeRange } from "../prometheus/RangeQuery.ts"
import { CheckedLabels, type ExternalLabels } from "../prometheus/remoteRead/externalLabels.ts"
import { hasLabel, type Matcher } from "../promql/Matcher.ts"

/** What is known of the external labels of a server, for one sync. */
export interface LabelCheck {
  /**
   * The external labels, if dropping them from the series that satisfy the matchers gives the labels that they have in queries.
   * Undefined if that is not certain: then samples must be read in another way.
   *
   * - The labels cannot be found out.
   * - A matcher selects the value of an external label, for which a server looks for series without that label.
   * - Some of the series have such a label and value of their own.
   */
  readonly droppable: (
    matchers: ReadonlyArray<Matcher>,
    range: TimeRange
  ) => Effect.Effect<ExternalLabels | undefined>
}

/** Checks the labels of a client's server. Only a server with external labels gets requests for streams. */
export const makeLabelCheck = (client: PrometheusClient["Service"]): LabelCheck => {
  /** By external label: whether any series has a label of that name by itself. */
  const isOwned = new Map<string, Effect.Effect<boolean>>()

  /** Whether there are such series, or that cannot be found out. */
  const exist = (matchers: ReadonlyArray<Matcher>, startMillis: number): Effect.Effect<boolean> =>
    // Some servers do not list what is only in memory if a range ends in the past.
    client.metricNames({ startMillis, endMillis: Number.POSITIVE_INFINITY }, matchers, []).pipe(
      Effect.map((names) => names.length > 0),
      Effect.orElseSucceed(() => true)
    )

  const anyOwns = Effect.fnUntraced(function* (label: string) {
    const known = isOwned.get(label)
    if (known !== undefined) return yield* known
    const cached = yield* Effect.cached(exist([hasLabel(label)], 0))
    isOwned.set(label, cached)
    return yield* cached
  })

  return {
    droppable: Effect.fnUntraced(function* (matchers, { startMillis }) {
      const labels = yield* client.externalLabels
      if (labels === undefined || labels.size === 0) return labels
      const unowned = new Set<string>()
      for (const [label, value] of labels) {
        if (selects(matchers, label, value)) return undefined
        // Without a matcher for this stream first: usually there are none in all of the server.
        if (!(yield* anyOwns(label)) || !(yield* exist([...matchers, hasLabel(label)], startMillis))) {
          unowned.add(label)
        } else if (yield* exist([...matchers, { label, operator: "=", value }], startMillis)) {
          return undefined
        }
      }
      return new CheckedLabels(labels, unowned)
    })
  }
}

const selects = (matchers: ReadonlyArray<Matcher>, label: string, value: string): boolean =>
  matchers.some((matcher) => matcher.operator === "=" && matcher.label === label && matcher.value === value)
