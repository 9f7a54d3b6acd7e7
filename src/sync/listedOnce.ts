/** The metrics of groups for everything that needs them at about the same time. */
import { Duration, Effect, Exit } from "effect"
import { listedGroups } from "./listedGroups.ts"

/** Lists the metrics of groups when they are first needed. A failure is not kept: what is tried again lists them again. */
export const listedOnce = Effect.cachedWithTTL(listedGroups, (exit) =>
  Exit.isSuccess(exit) ? Duration.infinity : Duration.zero
)
