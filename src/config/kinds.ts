/** The kinds of values, with a builder of rows for each. */
import { Redacted, Result, Schema, SchemaGetter } from "effect"
import { isBareName, parse as parseSelector } from "../promql/Matcher.ts"
import { truncateText } from "../text/excerpt.ts"
import { pluralize } from "../text/pluralize.ts"
import {
  type Annotations,
  type Fields,
  formOf,
  type Key,
  type KeyOptions,
  type Keys,
  makeKey,
  schemaOf
} from "./Key.ts"
import { parseServiceAccountKey } from "./serviceAccountKey.ts"
import { DATE_PATTERN, parseMoment, parseSeconds } from "./times.ts"

type Texts = ReadonlyArray<string>

/** A string. */
export const text = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, { value: Schema.String, accepted: "text" })

/** A secret string, which is never shown. */
export const secretText = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, {
    value: Schema.RedactedFromValue(Schema.String),
    form: (annotations) => Schema.String.annotate({ ...annotations, airbyte_secret: true }),
    accepted: "text",
    isSecret: true,
    warnings: (secret, path) =>
      /[\r\n]$/.test(Redacted.value(secret))
        ? [
            `${path} ends with a line feed, which is sent as a part of it (its value is not shown). If the server refuses it, remove the line feed: it is often added by mistake.`
          ]
        : []
  })

/** Certificates as PEM text. */
export const certificates = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, {
    value: Schema.String,
    form: (annotations) => Schema.String.annotate({ ...annotations, multiline: true }),
    accepted: `PEM text that begins with ${PEM_CERTIFICATE}`
  })

const PEM_CERTIFICATE = "-----BEGIN CERTIFICATE-----"

/** A secret text of several lines. */
export const secretLines = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, {
    value: Schema.RedactedFromValue(Schema.String),
    form: (annotations) => Schema.String.annotate({ ...annotations, airbyte_secret: true, multiline: true }),
    accepted: "text",
    isSecret: true
  })

/** The JSON key of a service account of Google, as text. */
export const serviceAccountKey = <const O extends KeyOptions<string>>(options: O) => {
  const accepted = "the JSON key of a service account, as text"
  return makeKey(options, {
    value: Schema.RedactedFromValue(Schema.String),
    form: (annotations) => Schema.String.annotate({ ...annotations, airbyte_secret: true, multiline: true }),
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
  const accepted = "an http or https URL such as https://login.example.com/oauth2/token, without user"
  return makeKey(options, {
    value: Schema.String,
    accepted,
    problems: (value, path) =>
      isHttpUrl(value)
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
    problems: (secret, path) => {
      const value = Redacted.value(secret)
      const { pathname = "", search = "" } = isHttpUrl(value) ? new URL(value.trim()) : {}
      return pathname === "/" && search === ""
        ? []
        : [`${path} must be ${accepted} (its value is not shown).`]
    }
  })
}

const isHttpUrl = (value: string): boolean => /^https?:$/.test(URL.parse(value.trim())?.protocol ?? "")

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

/**
 * A day or a second since 1970, UTC. JSON Schema has no `format` for both, and platforms that check `date` refuse a second: the
 * pattern alone says what is accepted.
 */
export const moment = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, {
    value: Schema.String.check(Schema.makeFilter((value) => parseMoment(value) >= 0)),
    form: (annotations) =>
      Schema.String.annotate({
        ...annotations,
        pattern: DATE_PATTERN,
        pattern_descriptor: "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ"
      }),
    accepted: "a date since 1970 such as 2026-01-01, or a UTC time such as 2026-01-01T00:00:00Z"
  })

interface Range {
  readonly min: number
  readonly max: number
}

const integerIn = ({ max, min }: Range, annotations: Annotations = {}) =>
  Schema.Number.annotate(annotations).check(Schema.isInt(), Schema.isBetween({ minimum: min, maximum: max }))

/** An integer in a range. */
export const integer = <const O extends KeyOptions<number> & Range>(options: O) =>
  makeKey(options, {
    value: integerIn(options),
    form: (annotations) => integerIn(options, annotations),
    accepted: `a whole number from ${options.min} to ${options.max}`
  })

/** Integer seconds in a range. Strings with a number or a duration are accepted too. */
export const seconds = <const O extends KeyOptions<number | string> & Range>(options: O) =>
  makeKey(options, {
    value: Schema.Union([Schema.Number, Schema.String]).pipe(
      Schema.decodeTo(integerIn(options), {
        decode: SchemaGetter.transform((value: number | string) =>
          typeof value === "string" ? parseSeconds(value.trim()) : value
        ),
        encode: SchemaGetter.passthrough<number | string>()
      })
    ),
    form: (annotations) => integerIn(options, annotations),
    accepted: `a whole number of seconds from ${options.min} to ${options.max} (${daysText(options.max)}), such as 3600, "3600" or "1h"`
  })

const DAY = 86_400

/** A limit in the largest unit that divides it. */
const daysText = (seconds: number): string =>
  seconds % (365 * DAY) === 0 ? pluralize(seconds / (365 * DAY), "year") : pluralize(seconds / DAY, "day")

/** True or false. */
export const boolean = <const O extends KeyOptions<boolean>>(options: O) =>
  makeKey(options, { value: Schema.Boolean, accepted: "true or false" })

/** One of several words. */
export const choice = <const W extends Texts, const O extends KeyOptions<W[number]>>(words: W, options: O) =>
  makeKey(options, { value: Schema.Literals(words), accepted: orList(words.map((word) => `"${word}"`)) })

/** Label matchers, without the name of a metric. */
export const matchers = <const O extends KeyOptions<string>>(options: O) => {
  const accepted = 'label matchers such as {env="prod",job=~"api.*"}'
  return makeKey(options, {
    value: Schema.String,
    accepted,
    problems: (value, path) => {
      const matchers = parseSelector(value)
      if (Result.isFailure(matchers)) return [`${path} must be ${accepted}: ${matchers.failure}.`]
      return matchers.success.some(({ label, operator }) => label === "__name__" && operator === "=")
        ? [
            `${path} must not name a metric, because it is added to the query of every metric: use metrics.include.`
          ]
        : []
    }
  })
}

/** A list of patterns for metric names. Compiling a pattern reports its errors. */
export const patterns = <const O extends KeyOptions<Texts>>(options: O) =>
  makeKey(options, {
    value: Schema.Array(Schema.String),
    accepted: "a list of patterns such as node_* or http_.*_total",
    isList: true
  })

/** A list of texts that are sent as they are. */
export const texts = <const O extends KeyOptions<Texts> & { readonly examples: readonly [Texts] }>(
  options: O
) =>
  makeKey(options, {
    value: Schema.Array(Schema.String),
    accepted: `a list of texts such as ${JSON.stringify(options.examples[0])}`,
    isList: true
  })

/** A list of label names. */
export const labelNames = <const O extends KeyOptions<Texts>>(options: O) =>
  makeKey(options, {
    value: Schema.Array(Schema.String),
    accepted: 'a list of label names such as ["user_email", "client_ip"]',
    isList: true,
    problems: (names, path) => [
      ...(names.includes("__name__")
        ? [`${path} must not contain __name__, the name of the metric: use metrics.exclude.`]
        : []),
      ...(names.includes("") ? [`${path} must not contain an empty name.`] : [])
    ],
    // A name with a pattern or a blank matches no label, so it would exclude nothing.
    warnings: (names, path) =>
      names
        .filter((name) => !isBareName(name))
        .map(
          (name) => `${path} contains ${quote(name)}, which is taken as a label name and not as a pattern.`
        )
  })

/** An object with its own keys. */
export const object = <const T extends Keys, const O extends KeyOptions<never>>(children: T, options: O) =>
  makeKey(options, {
    value: schemaOf(children),
    form: (annotations) => formOf(children).annotate(annotations),
    accepted: `an object with ${Object.entries(children)
      .map(([name, { accepted }]) => `${name} (${accepted})`)
      .join(" and ")}`,
    children,
    isSecret: holdsSecret(children)
  })

/** One form of an object, with its keys besides the one that names it. */
interface Variant<T extends Keys> {
  readonly title: string
  readonly description: string
  readonly keys: T
}

/** The decoded object of one of several forms. */
type VariantSchema<By extends string, V extends Readonly<Record<string, Variant<Keys>>>> = {
  readonly [Name in keyof V]: Schema.Struct<
    { readonly [_ in By]: Schema.Literal<Name & string> } & Fields<V[Name]["keys"]>
  >
}[keyof V]

/** An object that has one of several forms. The key `by` names the form. */
export const oneOf = <
  const By extends string,
  const V extends Readonly<Record<string, Variant<Keys>>>,
  const O extends KeyOptions<never>
>(
  by: By,
  variants: V,
  options: O
) => {
  const entries = Object.entries(variants)
  const members = entries.map(([name, { keys }]) =>
    Schema.Struct({ [by]: Schema.Literal(name), ...schemaOf(keys).fields })
  ) as unknown as ReadonlyArray<VariantSchema<By, V>>
  return makeKey(options, {
    value: Schema.Union(members),
    form: (annotations) =>
      Schema.Union(
        entries.map(([name, { description, keys, title }]) =>
          formOf({ [by]: constant(name), ...keys }).annotate({ title, description })
        ),
        { mode: "oneOf" }
      ).annotate({ ...annotations, type: "object" }),
    accepted: `an object with ${by}: ${orList(entries.map(([name]) => JSON.stringify(name)))}`,
    variants: { by, tables: Object.fromEntries(entries.map(([name, { keys }]) => [name, keys])) },
    isSecret: entries.some(([, { keys }]) => holdsSecret(keys))
  })
}

/** The key that names a form. */
const constant = (name: string): Key =>
  makeKey(
    { title: "Type", description: "Type of authentication.", isRequired: true },
    {
      value: Schema.String,
      form: ({ order }) => Schema.String.annotate({ title: "Type", order, const: name, default: name }),
      accepted: JSON.stringify(name)
    }
  )

/** Alternatives in a sentence. */
export const orList = (words: ReadonlyArray<string>): string => words.join(" or ")

/** A list of objects with the same keys. `example` is one of them. */
export const objects = <
  const T extends Keys,
  const O extends KeyOptions<never> & { readonly example: object }
>(
  children: T,
  options: O
) =>
  makeKey(options, {
    value: Schema.Array(schemaOf(children)),
    form: (annotations) => Schema.Array(formOf(children)).annotate(annotations),
    accepted: `a list of objects such as ${JSON.stringify(options.example)}`,
    children,
    isList: true,
    isSecret: holdsSecret(children)
  })

const holdsSecret = (keys: Keys): boolean => Object.values(keys).some(({ isSecret }) => isSecret)

/** A value as JSON, truncated if it is long. */
export const quote = (value: unknown): string => truncateText(JSON.stringify(value), 200)
