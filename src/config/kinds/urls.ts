/** Addresses of servers, of pages and of proxies. */
import { Redacted, Result, Schema } from "effect"
import { type KeyOptions, makeKey } from "../Key.ts"
import { quote } from "./wording.ts"

/** The address of an HTTP server, which paths are added to. */
export const url = <const O extends KeyOptions<string>>(options: O) => {
  const accepted =
    "an http or https URL such as https://prometheus.example.com/prometheus, without user, query or fragment"
  return makeKey(options, {
    value: Schema.String,
    accepted,
    problems: (value, path) => {
      if (!isHttpUrl(value) || /[?#]/.test(value)) {
        return [`${path} is ${quote(withoutCredentials(value))}, but must be ${accepted}.`]
      }
      return userProblems(value, path, "set basic_auth_user and basic_auth_pass")
    }
  })
}

/** The address of one page, with its query if it has one. */
export const pageUrl = <const O extends KeyOptions<string>>(options: O) => {
  const accepted =
    "an http or https URL such as https://login.example.com/oauth2/token, without user or fragment"
  return makeKey(options, {
    value: Schema.String,
    accepted,
    problems: (value, path) =>
      isHttpUrl(value) && !value.includes("#")
        ? userProblems(value, path, "set the keys beside it")
        : [`${path} is ${quote(withoutCredentials(value))}, but must be ${accepted}.`]
  })
}

/** The address of a proxy, which may contain a user and a password. It is never shown. */
export const proxyUrl = <const O extends KeyOptions<string>>(options: O) => {
  const accepted =
    "the http or https URL of a proxy, such as http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128"
  return makeKey(options, {
    value: Schema.RedactedFromValue(Schema.String),
    form: (annotations) => Schema.String.annotate({ ...annotations, airbyte_secret: true }),
    accepted,
    isSecret: true,
    problems: (secret, path) =>
      isProxyUrl(Redacted.value(secret)) ? [] : [`${path} must be ${accepted} (its value is not shown).`]
  })
}

const isHttpUrl = (value: string): boolean => /^https?:$/.test(URL.parse(value.trim())?.protocol ?? "")

/** A proxy has no path, and its user and password are encoded as in every URL. */
const isProxyUrl = (value: string): boolean => {
  if (!isHttpUrl(value) || /[?#]/.test(value)) return false
  const { password, pathname, username } = new URL(value.trim())
  return pathname === "/" && Result.isSuccess(Result.try(() => decodeURIComponent(username + password)))
}

const userProblems = (value: string, path: string, instead: string): ReadonlyArray<string> => {
  const { password, username } = new URL(value.trim())
  if (username === "" && password === "") return []
  return [
    `${path} is ${quote(withoutCredentials(value))}, but must not contain a user or password: ${instead}.`
  ]
}

/** The part before the last `@` may be a password, and the part after `?` a token. */
const withoutCredentials = (url: string): string =>
  url.replace(/^.*@/s, "***@").replace(/([?#]).+$/s, "$1***")
