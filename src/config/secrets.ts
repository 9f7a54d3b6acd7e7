/** The secrets of a configuration, found wherever its settings have a `Redacted` value. */
import { Option, Redacted } from "effect"
import type { Settings } from "./ConnectorConfig.ts"
import { isCommon } from "./SecretMask.ts"

/** All secrets within a value, in the order in which they are found. */
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
 * The secrets of a configuration in every form in which they are sent, to be masked in what is printed. Without secrets
 * that any text may contain by chance: masking those would reveal them.
 */
export const secretTexts = (settings: Settings): ReadonlyArray<string> =>
  allSecretTexts(settings).filter((secret) => !isCommon(secret))

/** All of them, to be masked in a server's text before it becomes part of a message. */
export const allSecretTexts = (settings: Settings): ReadonlyArray<string> => [
  ...redactedIn(settings),
  // Servers quote the token of `Bearer token` without the word before it.
  ...redactedIn(settings.headers).flatMap((value) => /^\w+ +(.+)$/.exec(value)?.[1] ?? []),
  ...Option.match(settings.basicAuth, { onNone: () => [], onSome: (basic) => [basicCredentials(basic)] })
]

/** What the header of HTTP basic authentication contains after the word `Basic`. */
export const basicCredentials = ({ password, user }: Option.Option.Value<Settings["basicAuth"]>): string =>
  Buffer.from(`${user}:${Redacted.value(password)}`).toString("base64")
