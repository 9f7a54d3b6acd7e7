/** Types, help texts and units of metrics. */
import { Effect, Schema } from "effect"

/** The metadata of a metric family that the server scrapes now. */
export const MetricMetadata = Schema.Struct({
  type: Schema.String,
  help: Schema.String,
  unit: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("")))
})

export type MetricMetadata = typeof MetricMetadata.Type

const familySuffix = /_(?:bucket|sum|count|total|created|info|gsum|gcount)$/

/** The metadata of a metric, by its own name or else by the name of its family. */
export const findMetadata = (
  metadata: ReadonlyMap<string, MetricMetadata>,
  metric: string
): MetricMetadata | undefined => metadata.get(metric) ?? metadata.get(metric.replace(familySuffix, ""))
