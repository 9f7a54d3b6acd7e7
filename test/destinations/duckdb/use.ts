/** Opens a database as a run does. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import type { Destination } from "../../../src/destinations/Destination.ts"
import type { OpenOptions } from "../../../src/destinations/DestinationKind.ts"
import { layer } from "../../../src/destinations/duckdb/DuckDBFile.ts"

/** Runs an effect with an open database, and closes it at the end. */
export const use = <A, E>(
  path: string,
  body: Effect.Effect<A, E, Destination>,
  options: Partial<OpenOptions> = {}
) =>
  body.pipe(
    Effect.provide(layer({ path, source: "http://mock", labelColumns: true, ...options })),
    Effect.provide(NodeServices.layer)
  )
