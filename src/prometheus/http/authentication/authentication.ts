/** How requests are authenticated: by the method that the settings name. */
import type { AuthenticationSettings, Settings } from "../../../config/ConnectorConfig.ts"
import type { Reason } from "../../PrometheusError.ts"
import type { Authentication, AuthenticationContext, Method } from "./Method.ts"
import { methods } from "./methods.ts"

const methodOf = ({ auth_type }: AuthenticationSettings) =>
  methods[auth_type] as Method<AuthenticationSettings>

/** The authentication that the settings say. */
export const authenticationOf = (
  settings: AuthenticationSettings,
  context: AuthenticationContext
): Authentication => methodOf(settings).make(settings, context)

/** Whether requests carry a secret that anyone who sees them can use. */
export const sendsSecrets = (settings: AuthenticationSettings): boolean => {
  const { sendsSecrets } = methodOf(settings)
  return typeof sendsSecrets === "boolean" ? sendsSecrets : sendsSecrets(settings)
}

/** Secrets that follow from those of the settings. Every text masks them. */
export const derivedSecrets = (settings: AuthenticationSettings): ReadonlyArray<string> =>
  methodOf(settings).derivedSecrets?.(settings) ?? []

/** What to do if Prometheus does not accept the credentials. Undefined if the reason says it already. */
export const refusedAdvice = (
  { authentication, parameters }: Pick<Settings, "authentication" | "parameters">,
  reason: Reason
): string | undefined => {
  const { keysToCheck } = methodOf(authentication)
  const keys =
    parameters.length === 0
      ? keysToCheck
      : keysToCheck === undefined
        ? "basic_auth_user, basic_auth_pass, headers and parameters"
        : `${keysToCheck}, and parameters`
  if (keys === undefined) return undefined
  if (reason === "Unauthorized") return `Check ${keys}.`
  return reason === "Forbidden"
    ? `The server does not let these credentials read this. Check what they may read, and ${keys}.`
    : undefined
}
