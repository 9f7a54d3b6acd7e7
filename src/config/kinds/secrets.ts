/** Secrets, which are never shown, and certificates. */
import { Redacted, Result, Schema } from "effect"
import { headerProblems } from "../headerText.ts"
import { type Annotations, type KeyOptions, makeKey } from "../Key.ts"
import { parseServiceAccountKey } from "../serviceAccountKey.ts"

const value = Schema.RedactedFromValue(Schema.String)

const form = (annotations: Annotations) => Schema.String.annotate({ ...annotations, airbyte_secret: true })

const lines = (annotations: Annotations) => form({ ...annotations, multiline: true })

/** A secret string. */
export const secretText = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, {
    value,
    form,
    accepted: "text",
    isSecret: true,
    warnings: (secret, path) =>
      /[\r\n]$/.test(Redacted.value(secret))
        ? [
            `${path} ends with a line feed, which is sent as a part of it (its value is not shown). If the server refuses it, remove the line feed: it is often added by mistake.`
          ]
        : []
  })

/** A secret that is sent in a header as it is. */
export const headerSecret = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, {
    value,
    form,
    accepted: "a single line of ASCII characters",
    isSecret: true,
    problems: (secret, path) => singleLineProblems(path, Redacted.value(secret))
  })

const singleLineProblems = (path: string, text: string) => headerProblems(path, text, /^[\x20-\x7e]*$/)

/** A token that is sent after the word Bearer. */
export const bearerToken = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, {
    value,
    form,
    accepted: "a single line of ASCII characters",
    isSecret: true,
    problems: (secret, path) => {
      const token = Redacted.value(secret)
      if (/^\s*(?:authorization: *)?bearer\s/i.test(token)) {
        return [
          `${path} must be the token alone, without the word Bearer before it (its value is not shown).`
        ]
      }
      // RFC 6750 has none, and one at an end is copied by mistake.
      const blank = /^ | $/.test(token) ? "begins or ends with" : / /.test(token) ? "contains" : undefined
      return [
        ...(blank === undefined
          ? []
          : [`${path} ${blank} a blank, which no token has (its value is not shown): remove it.`]),
        ...singleLineProblems(path, token)
      ]
    }
  })

/** A secret text of several lines. */
export const secretLines = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, { value, form: lines, accepted: "text", isSecret: true })

/** The JSON key of a service account of Google, as text. */
export const serviceAccountKey = <const O extends KeyOptions<string>>(options: O) => {
  const accepted = "the JSON key of a service account, as text"
  return makeKey(options, {
    value,
    form: lines,
    accepted,
    isSecret: true,
    problems: (secret, path) => {
      const parsed = parseServiceAccountKey(Redacted.value(secret))
      return Result.isSuccess(parsed)
        ? []
        : [`${path} must be ${accepted} (its content is not shown): ${parsed.failure.join(", and ")}.`]
    }
  })
}

/** Certificates as PEM text. They are no secrets, but platforms demand by the name of the key that forms treat them as such. */
export const certificates = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, {
    value: Schema.String,
    form: lines,
    accepted: `PEM text that begins with ${PEM_CERTIFICATE}`
  })

const PEM_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
