/** The verb `discover`. */
import { Effect } from "effect"
import { ConnectorConfig } from "../ConnectorConfig.ts"
import { discover as discoverMetrics, noMetrics } from "../sync/Discovery.ts"
import { catalogStream } from "./Catalog.ts"
import { Output } from "./Output.ts"

/** Tells which streams there are. */
export const discover = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const output = yield* Output
  const metrics = yield* discoverMetrics
  if (metrics.length === 0) return yield* noMetrics(settings)
  const streams = yield* Effect.forEach(metrics, (metric) => catalogStream(metric, settings.labelColumns))
  output.message({ type: "CATALOG", catalog: { streams } })
  return true
})
