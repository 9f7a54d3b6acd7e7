/** The metrics of the groups, as the server lists them now. */
import { Effect } from "effect"
import { ConnectorConfig } from "../config/ConnectorConfig.ts"
import { discoverNamesOfGroups } from "./Discovery.ts"
import { groupMetrics } from "./groups.ts"

/** Each read lists them, because new metrics may have appeared after discovery. */
export const listedGroups = Effect.gen(function* () {
  const settings = yield* ConnectorConfig
  const { names } = yield* discoverNamesOfGroups
  return groupMetrics(settings, names).groups
})
