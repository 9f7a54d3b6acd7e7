/** Fails if a source of the server is away although no response says so: samples, names or labels of it would be missing. */
import { Effect } from "effect"
import { PrometheusError } from "../prometheus/PrometheusError.ts"

/** `missing` says which source is away, as a sentence. */
export const allSourcesRespond = (
  missing: Effect.Effect<string | undefined, PrometheusError>
): Effect.Effect<void, PrometheusError> =>
  Effect.flatMap(missing, (summary) =>
    summary === undefined
      ? Effect.void
      : Effect.fail(new PrometheusError({ reason: "PartialResponse", summary }))
  )
