/** Opens a database as a run does. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Logger } from "effect"
import type { Destination } from "../../../src/destinations/Destination.ts"
import { type DuckDBOptions, layer } from "../../../src/destinations/duckdb/DuckDBFile.ts"

/** Runs an effect with an open database, and closes it at the end. */
export const use = <A, E>(
  path: string,
  body: Effect.Effect<A, E, Destination>,
  options: Partial<DuckDBOptions> = {}
) =>
  body.pipe(
    Effect.provide(layer({ path, source: "http://mock", labelColumns: true, ...options })),
    Effect.provide(NodeServices.layer)
  )

/** Collects the logs of an effect instead of printing them. */
export const logsOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<ReadonlyArray<string>, E, R> =>
  Effect.suspend(() => {
    const logs: Array<string> = []
    const logger = Logger.make(({ message }) => void logs.push(String(message)))
    return effect.pipe(Effect.provide(Logger.layer([logger])), Effect.as(logs))
  })
