/** The secrets of a configuration in every form in which requests carry them. */
import type { Settings } from "../config/ConnectorConfig.ts"
import { isCommon, redactedIn } from "../config/SecretMask.ts"
import { derivedSecrets } from "./http/authentication/authentication.ts"
import { type Environment, proxySecrets } from "./http/proxies.ts"

/**
 * The secrets that all output masks. Secrets that any text may contain by chance are not among them: masking those would
 * reveal them.
 */
export const secretTexts = (
  settings: Settings,
  environment: Environment = process.env
): ReadonlyArray<string> => allSecretTexts(settings, environment).filter((secret) => !isCommon(secret))

/** All secrets. A server's text is masked with them before it becomes part of a message. */
export const allSecretTexts = (
  settings: Settings,
  environment: Environment = process.env
): ReadonlyArray<string> => [
  // Messages name the proxy: only its credentials are secret.
  ...redactedIn({ ...settings, proxyUrl: undefined }),
  ...proxySecrets(settings, environment),
  // Servers quote the token of `Bearer token` without the first word.
  ...redactedIn(settings.headers).flatMap((value) => /^\w+ +(.+)$/.exec(value)?.[1] ?? []),
  ...redactedIn(settings.headers).flatMap(passwordIn),
  ...redactedIn(settings.headers.filter(({ name }) => name.toLowerCase() === "cookie")).flatMap(cookiesIn),
  ...derivedSecrets(settings.authentication)
]

/** The password in the value of a header for basic authentication. */
const passwordIn = (value: string): ReadonlyArray<string> => {
  const encoded = /^Basic +(.+)$/i.exec(value)?.[1] ?? ""
  return /^[^:]*:(.+)$/s.exec(Buffer.from(encoded, "base64").toString())?.slice(1) ?? []
}

/** The values in a header with cookies. */
const cookiesIn = (value: string): ReadonlyArray<string> =>
  value.split(";").flatMap((cookie) => /=(.+)$/s.exec(cookie.trim())?.[1] ?? [])
