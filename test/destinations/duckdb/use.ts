/** Opens a database as a run does. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import type { Destination } from "../../../src/destinations/Destination.ts"
import { type DuckDBOptions, layer } from "../../../src/destinations/duckdb/DuckDBFile.ts"

/** Does something with a database, which is open for as long as that takes. */
export const use = <A, E>(
  path: string,
  body: Effect.Effect<A, E, Destination>,
  options: Partial<DuckDBOptions> = {}
) =>
  body.pipe(
    Effect.provide(layer({ path, source: "http://mock", labelColumns: true, ...options })),
    Effect.provide(NodeServices.layer)
  )
