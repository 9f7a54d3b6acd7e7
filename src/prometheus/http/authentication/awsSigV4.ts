import { Effect } from "effect"
import type { AuthenticationOf } from "../../../config/ConnectorConfig.ts"
import type { Method } from "./Method.ts"

export const awsSigV4: Method<AuthenticationOf<"aws_sigv4">> = {
  sendsSecrets: true,
  make: () => ({ authenticate: Effect.succeed, renew: () => Effect.succeed(false) })
}
