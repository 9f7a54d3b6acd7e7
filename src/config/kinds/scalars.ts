/** Texts, numbers, choices and times. */
import { Schema, SchemaGetter } from "effect"
import { pluralize } from "../../text/pluralize.ts"
import { type Annotations, type KeyOptions, makeKey } from "../Key.ts"
import { DATE_PATTERN, parseMoment, parseSeconds } from "../times.ts"
import { orList, quote } from "./wording.ts"

/** A string. */
export const text = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, { value: Schema.String, accepted: "text" })

/** A string of a certain form. `accepted` describes it, as the end of a sentence. */
export const textLike = <const O extends KeyOptions<string>>(pattern: RegExp, accepted: string, options: O) =>
  makeKey(options, {
    value: Schema.String,
    accepted,
    problems: (value, path) =>
      pattern.test(value) ? [] : [`${path} is ${quote(value)}, but must be ${accepted}.`]
  })

/** The name of a stream that users choose. Every destination can have a table of that name. */
export const streamName = <const O extends KeyOptions<string>>(options: O) =>
  textLike(
    /^[a-zA-Z_][a-zA-Z0-9_:.-]{0,199}$/,
    "a letter or _, followed by at most 199 letters, digits or any of _ : . -",
    options
  )

/** A PromQL expression, of one line or several. */
export const expression = <const O extends KeyOptions<string>>(options: O) => {
  const accepted = "a PromQL expression such as sum by (job) (rate(http_requests_total[5m]))"
  return makeKey(options, {
    value: Schema.String,
    form: (annotations) => Schema.String.annotate({ ...annotations, multiline: true }),
    accepted,
    problems: (value, path) => (value.trim() === "" ? [`${path} is empty, but must be ${accepted}.`] : [])
  })
}

/** True or false. */
export const boolean = <const O extends KeyOptions<boolean>>(options: O) =>
  makeKey(options, { value: Schema.Boolean, accepted: "true or false" })

/** One of several words. */
export const choice = <const W extends ReadonlyArray<string>, const O extends KeyOptions<W[number]>>(
  words: W,
  options: O
) => makeKey(options, { value: Schema.Literals(words), accepted: orList(words.map((word) => `"${word}"`)) })

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

const numberIn = ({ max, min }: Range, annotations: Annotations = {}) =>
  Schema.Number.annotate(annotations).check(
    Schema.isFinite(),
    Schema.isBetween({ minimum: min, maximum: max })
  )

/** A number in a range, which may be a fraction. Strings with a number are accepted too, because flags are texts. */
export const number = <const O extends KeyOptions<number | string> & Range>(options: O) =>
  makeKey(options, {
    value: Schema.Union([Schema.Number, Schema.String]).pipe(
      Schema.decodeTo(numberIn(options), {
        decode: SchemaGetter.transform((value: number | string) =>
          typeof value === "string" ? parseNumber(value.trim()) : value
        ),
        encode: SchemaGetter.passthrough<number | string>()
      })
    ),
    form: (annotations) => numberIn(options, annotations),
    accepted: `a number from ${options.min} to ${options.max}`
  })

const parseNumber = (text: string): number => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN)

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
