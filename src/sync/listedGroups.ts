/** The metrics of the groups, as the server lists them now. */
import { Effect, References } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { discoverNames } from "./Discovery.ts"
import { groupMetrics } from "./groups.ts"

/** Each read lists them, because new metrics may have appeared after discovery. It does not repeat the logs of discovery. */
export const listedGroups = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const { names } = yield* discoverNames
  return groupMetrics(settings, names).groups
}).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
