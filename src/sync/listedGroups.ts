/** The metrics of the groups, as the server lists them now. */
import { Effect, References } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { discoverNames } from "./Discovery.ts"
import { groupMetrics } from "./groups.ts"

/** Each read lists them: some may have come after the catalog was made. Discovery has logged what is worth it. */
export const listedGroups = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const { names } = yield* discoverNames
  return groupMetrics(settings, names).groups
}).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
