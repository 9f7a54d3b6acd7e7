/** The methods of authentication: one entry for each. */
import type { AuthenticationOf, AuthType } from "../../../config/ConnectorConfig.ts"
import { awsSigV4 } from "./awsSigV4.ts"
import { basic, bearerToken, none } from "./fixed.ts"
import { google } from "./google.ts"
import type { Method } from "./Method.ts"
import { oauth2 } from "./oauth2.ts"

export const methods: { readonly [Type in AuthType]: Method<AuthenticationOf<Type>> } = {
  none,
  basic,
  bearer_token: bearerToken,
  oauth2,
  aws_sigv4: awsSigV4,
  google
}
