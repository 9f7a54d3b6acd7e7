import { Effect } from "effect"
import type { AuthenticationOf } from "../../../config/ConnectorConfig.ts"
import type { Method } from "./Method.ts"

export const google: Method<AuthenticationOf<"google">> = {
  sendsSecrets: true,
  make: () => ({ authenticate: Effect.succeed, renew: () => Effect.succeed(false) })
}
