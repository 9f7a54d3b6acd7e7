/** Decodes the keys of a table one by one, so that all problems of a configuration are found at once. */
import { Predicate, Result, Schema } from "effect"
import { truncateText } from "../text/excerpt.ts"
import { listSome } from "../text/listSome.ts"
import type { Fields, Key, Keys } from "./Key.ts"
import { quote } from "./kinds.ts"

type Json = Readonly<Record<string, unknown>>

/** The values of the valid keys, and the problems and warnings as sentences. */
export const decodeKeys = <Table extends Keys>(table: Table, given: Json) => {
  const config: Record<string, unknown> = {}
  const problems: Array<string> = []
  const warnings: Array<string> = [...unknownKeyWarnings(table, given)]
  for (const [name, key] of Object.entries(table)) {
    const decode = Schema.decodeUnknownResult(Schema.Struct({ [name]: key.field as Schema.Codec<unknown> }))
    const decoded = decode(given)
    if (Result.isFailure(decoded)) {
      problems.push(problem(name, key, given[name]))
      continue
    }
    Object.assign(config, decoded.success)
    if (!(name in decoded.success)) continue
    problems.push(...key.problems(decoded.success[name], name))
    warnings.push(...key.warnings(decoded.success[name], name))
  }
  return { config: config as Partial<Schema.Struct<Fields<Table>>["Type"]>, problems, warnings }
}

const problem = (name: string, key: Key, value: unknown): string =>
  value === undefined
    ? `${name} is missing: it must be ${key.accepted}.`
    : `${name} is ${quoted(key, value)}, but must be ${key.accepted}.`

/** Quotes only scalars: a list or an object may contain a secret under any name. */
const quoted = ({ isSecret }: Key, value: unknown): string => {
  if (isSecret) return "not of the right type (its value is not shown)"
  if (Array.isArray(value)) return "a list (its content is not shown)"
  if (Predicate.isObject(value)) return "an object (its content is not shown)"
  return quote(value)
}

const unknownKeyWarnings = (table: Keys, given: Json): ReadonlyArray<string> => {
  const unknown = unknownKeys(table, given, "")
  if (unknown.length === 0) return []
  const named = unknown.map((key) => truncateText(key, MAX_SHOWN_LENGTH))
  return [
    `Unknown configuration ${unknown.length === 1 ? "key is" : "keys are"} ignored: ${listSome(named, MAX_SHOWN_KEYS)}.`
  ]
}

/** Unknown keys beyond this number are only counted. */
const MAX_SHOWN_KEYS = 20

const MAX_SHOWN_LENGTH = 100

const unknownKeys = (table: Keys, given: unknown, path: string): ReadonlyArray<string> => {
  if (!Predicate.isReadonlyObject(given)) return []
  return [
    ...Object.keys(given).flatMap((name) => (Object.hasOwn(table, name) ? [] : [path + name])),
    ...Object.entries(table).flatMap(([name, { children, isList }]) => {
      const value = given[name]
      if (Object.keys(children).length === 0) return []
      if (!isList) return unknownKeys(children, value, `${path}${name}.`)
      return Array.isArray(value)
        ? value.flatMap((item, index) => unknownKeys(children, item, `${path}${name}[${index}].`))
        : []
    })
  ]
}
