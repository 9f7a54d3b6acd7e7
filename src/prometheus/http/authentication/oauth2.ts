import { Effect } from "effect"
import type { AuthenticationOf } from "../../../config/ConnectorConfig.ts"
import type { Method } from "./Method.ts"

export const oauth2: Method<AuthenticationOf<"oauth2">> = {
  sendsSecrets: true,
  make: () => ({ authenticate: Effect.succeed, renew: () => Effect.succeed(false) })
}
