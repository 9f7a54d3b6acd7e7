/** The secrets of a configuration: all `Redacted` values in its settings. */
import { Option, Redacted } from "effect"
import type { Settings } from "./ConnectorConfig.ts"
import { isCommon } from "./SecretMask.ts"

/** All secrets in a value, in order. */
export const redactedIn = (value: unknown): ReadonlyArray<string> => {
  const found: Array<string> = []
  const seen = new Set<unknown>()
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || seen.has(value)) return
    seen.add(value)
    if (Redacted.isRedacted(value)) {
      const secret = Redacted.value(value)
      if (typeof secret === "string") found.push(secret)
      else walk(secret)
    } else if (value instanceof Map) for (const entry of value) walk(entry)
    else for (const inner of Object.values(value)) walk(inner)
  }
  walk(value)
  return found
}

/**
 * The secrets of a configuration, in every form in which they are sent, to mask in all output. Secrets that any text may
 * contain by chance are omitted: masking them would reveal them.
 */
export const secretTexts = (settings: Settings): ReadonlyArray<string> =>
  allSecretTexts(settings).filter((secret) => !isCommon(secret))

/** All secrets, to mask in a server's text before it becomes part of a message. */
export const allSecretTexts = (settings: Settings): ReadonlyArray<string> => [
  ...redactedIn(settings),
  // Servers quote the token of `Bearer token` without the first word.
  ...redactedIn(settings.headers).flatMap((value) => /^\w+ +(.+)$/.exec(value)?.[1] ?? []),
  ...Option.match(settings.basicAuth, { onNone: () => [], onSome: (basic) => [basicCredentials(basic)] })
]

/** The value of a basic authentication header after the word `Basic`. */
export const basicCredentials = ({ password, user }: Option.Option.Value<Settings["basicAuth"]>): string =>
  Buffer.from(`${user}:${Redacted.value(password)}`).toString("base64")
