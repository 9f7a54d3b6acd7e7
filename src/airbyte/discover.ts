/** The verb `discover`. */
import { Effect, Predicate } from "effect"
import { ConfigError, ConnectorConfig } from "../config/ConnectorConfig.ts"
import { type DiscoveredStream, discoverSelected, noMetrics } from "../sync/Discovery.ts"
import { limitWarning } from "../sync/platformLimits.ts"
import { pluralize } from "../text/pluralize.ts"
import { catalogStream } from "./Catalog.ts"
import { Output } from "./Output.ts"

/** A catalog is one string, and JavaScript limits strings to half a gigabyte. Platforms accept far less than this. */
const MAX_CATALOG_CHARACTERS = 200_000_000

/** The approximate length of the catalog: the fixed columns and the description of each stream, and a column for each label. */
const catalogCharacters = (streams: ReadonlyArray<DiscoveredStream>): number =>
  streams.reduce(
    (sum, { expression = "", labels, metadata, name }) =>
      sum +
      1500 +
      name.length +
      expression.length +
      (metadata?.help.length ?? 0) +
      labels.reduce((sum, label) => sum + 60 + 2 * label.length, 0),
    0
  )

/** The number of fields of a stream. */
const fieldsOf = (schema: object): number =>
  Predicate.hasProperty(schema, "properties") && Predicate.isObject(schema.properties)
    ? Object.keys(schema.properties).length
    : 0

/** Writes the catalog of all streams. */
export const discover = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const output = yield* Output
  const { streams: found, unmatched } = yield* discoverSelected
  if (found.length === 0) return yield* noMetrics(settings, unmatched)
  if (catalogCharacters(found) > MAX_CATALOG_CHARACTERS) {
    return yield* new ConfigError({
      message: `The catalog of ${pluralize(found.length, "stream")} is too large for one message. Select fewer metrics with metrics or selector, or set label_columns to false if they have many labels.`
    })
  }
  for (const alike of Map.groupBy(found, ({ name }) => name.toLowerCase()).values()) {
    if (alike.length === 1) continue
    const names = alike.map(({ name }) => name).join(", ")
    yield* Effect.logWarning(
      `These streams differ only in upper and lower case, and destinations that ignore it may put them into one table: ${names}. Exclude all but one of them, or give them streams in separate connections.`
    )
  }
  const streams = yield* Effect.forEach(found, (stream) => catalogStream(stream, settings.labelColumns))
  const sizes = streams.map(({ json_schema, name }) => ({ name, fields: fieldsOf(json_schema) }))
  const isMetric = (index: number) => {
    const { expression, group, table } = found[index]!
    return expression === undefined && group === undefined && table === undefined
  }
  const others = sizes.filter((_, index) => !isMetric(index))
  const warning = limitWarning(
    sizes.filter((_, index) => isMetric(index)),
    { streams: others.length, fields: others.reduce((sum, { fields }) => sum + fields, 0) }
  )
  if (warning !== undefined) yield* Effect.logWarning(warning)
  output.message({ type: "CATALOG", catalog: { streams } })
  return true
})
