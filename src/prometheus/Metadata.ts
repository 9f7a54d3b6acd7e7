/** What a server knows of its metrics besides their samples. */

/** What the server knows about a metric family from what it scrapes now. */
export interface MetricMetadata {
  readonly type: string
  readonly help: string
  readonly unit: string
}

const familySuffix = /_(?:bucket|sum|count|total|created|info|gsum|gcount)$/

/** What is known of a metric: by its own name, else by that of the family that it is a part of. */
export const findMetadata = (
  metadata: ReadonlyMap<string, MetricMetadata>,
  metric: string
): MetricMetadata | undefined => metadata.get(metric) ?? metadata.get(metric.replace(familySuffix, ""))
