/** Types, help texts and units of metrics. */

/** The metadata of a metric family that the server scrapes now. */
export interface MetricMetadata {
  readonly type: string
  readonly help: string
  readonly unit: string
}

const familySuffix = /_(?:bucket|sum|count|total|created|info|gsum|gcount)$/

/** The metadata of a metric, by its own name or else by the name of its family. */
export const findMetadata = (
  metadata: ReadonlyMap<string, MetricMetadata>,
  metric: string
): MetricMetadata | undefined => metadata.get(metric) ?? metadata.get(metric.replace(familySuffix, ""))
