/** Lists of texts: patterns, label names and others. */
import { Schema } from "effect"
import { isBareName } from "../../promql/Matcher.ts"
import { type KeyOptions, makeKey } from "../Key.ts"
import { orList, quote } from "./wording.ts"

/** A pattern for metric names. Compiling it reports its errors. */
export const pattern = <const O extends KeyOptions<string>>(options: O) =>
  makeKey(options, { value: Schema.String, accepted: "a pattern such as node_* or http_.*_total" })

/** A list of fixed words. */
export const choices = <
  const W extends ReadonlyArray<string>,
  const O extends KeyOptions<ReadonlyArray<W[number]>>
>(
  words: W,
  options: O
) =>
  makeKey(options, {
    value: Schema.Array(Schema.Literals(words)),
    accepted: `a list of ${orList(words.map((word) => `"${word}"`))}`,
    isList: true
  })

type Texts = ReadonlyArray<string>

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
    isList: true,
    problems: (values, path) =>
      values.some((value) => value.trim() === "") ? [`${path} must not contain an empty text.`] : []
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
