/** The verb `discover`. */
import { Effect } from "effect"
import { ConnectorConfig } from "../ConnectorConfig.ts"
import { discover as discoverMetrics, noMetrics } from "../sync/Discovery.ts"
import { catalogStream } from "./Catalog.ts"
import { Output } from "./Output.ts"

/** Groups of names that are the same in lower case. */
const clashingNames = (names: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
  Object.values(Object.groupBy(names, (name) => name.toLowerCase())).flatMap((group = []) =>
    group.length > 1 ? [group] : []
  )

/** Tells which streams there are. */
export const discover = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const output = yield* Output
  const metrics = yield* discoverMetrics
  if (metrics.length === 0) return yield* noMetrics(settings)
  for (const names of clashingNames(metrics.map(({ name }) => name))) {
    yield* Effect.logWarning(
      `These metrics differ only in upper and lower case, and destinations that ignore it may put them into one table: ${names.join(", ")}. Exclude all but one of them, or give them streams in separate connections.`
    )
  }
  const streams = yield* Effect.forEach(metrics, (metric) => catalogStream(metric, settings.labelColumns))
  output.message({ type: "CATALOG", catalog: { streams } })
  return true
})
