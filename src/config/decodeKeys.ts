/** Decodes the keys of a table one by one, so that all problems of a configuration are found at once. */
import { Predicate, Result, Schema } from "effect"
import { truncateText } from "../text/excerpt.ts"
import { listSome } from "../text/listSome.ts"
import { type Fields, type Key, type Keys, keysOf } from "./Key.ts"
import { orList, quote } from "./kinds/wording.ts"

type Json = Readonly<Record<string, unknown>>

/** The values of the valid keys, and the problems and warnings as sentences. */
export const decodeKeys = <Table extends Keys>(table: Table, given: Json) => {
  const { config, problems, warnings } = decodeTable(table, given, "")
  return {
    config: config as Partial<Schema.Struct<Fields<Table>>["Type"]>,
    problems,
    warnings: [...unknownKeyWarnings(table, given), ...warnings]
  }
}

interface Decoded {
  readonly config: Json
  readonly problems: ReadonlyArray<string>
  readonly warnings: ReadonlyArray<string>
}

/** `prefix` is that of the keys' paths. */
const decodeTable = (table: Keys, given: Json, prefix: string): Decoded => {
  const config: Record<string, unknown> = {}
  const problems: Array<string> = []
  const warnings: Array<string> = []
  for (const [name, key] of Object.entries(table)) {
    const path = prefix + name
    const decoded = decodeKey(name, key, given, path)
    problems.push(...decoded.problems)
    warnings.push(...decoded.warnings)
    if (!(name in decoded.config)) continue
    config[name] = decoded.config[name]
    if (decoded.problems.length > 0) continue
    problems.push(...key.problems(config[name], path))
    warnings.push(...key.warnings(config[name], path))
  }
  return { config, problems, warnings }
}

/** Decodes one key of an object. The keys of inner objects are decoded one by one, too. */
const decodeKey = (name: string, key: Key, given: Json, path: string): Decoded => {
  const value = given[name]
  // A form that was opened and left empty.
  if (key.variants !== undefined && Predicate.isReadonlyObject(value) && Object.keys(value).length === 0) {
    return { config: {}, problems: [], warnings: [] }
  }
  const inner = keysOf(key, value)
  if (inner !== undefined && Predicate.isReadonlyObject(value)) {
    const by = key.variants?.by
    const decoded = decodeTable(inner, value, `${path}.`)
    const config = by === undefined ? decoded.config : { [by]: value[by], ...decoded.config }
    return { ...decoded, config: { [name]: config } }
  }
  if (isListOfObjects(key) && Array.isArray(value) && value.every(Predicate.isReadonlyObject)) {
    const items = value.map((item, index) =>
      decodeTable(key.children, withoutEmpty(key.children, item), `${path}[${index}].`)
    )
    const problems = items.flatMap(({ problems }) => problems)
    return {
      // Other checks count on complete items, and on their places.
      config: problems.length > 0 ? {} : { [name]: items.map(({ config }) => config) },
      problems: problems.slice(0, MAX_PROBLEMS),
      warnings: items.flatMap(({ warnings }) => warnings)
    }
  }
  const decode = Schema.decodeUnknownResult(Schema.Struct({ [name]: key.field as Schema.Codec<unknown> }))
  const decoded = decode(given)
  return Result.isSuccess(decoded)
    ? { config: decoded.success, problems: [], warnings: [] }
    : { config: {}, problems: [problem(path, key, value)], warnings: [] }
}

/** An item of a list, without the optional keys that a form left empty. */
const withoutEmpty = (table: Keys, item: Json): Json =>
  Object.fromEntries(
    Object.entries(item).filter(
      ([name, value]) => table[name]?.isRequired || (value !== "" && value !== null && value !== undefined)
    )
  )

/** Problems of one list beyond this number are not reported. */
const MAX_PROBLEMS = 5

const isListOfObjects = ({ children, isList }: Key): boolean => isList && Object.keys(children).length > 0

const problem = (path: string, key: Key, value: unknown): string => {
  if (value === undefined) return `${path} is missing: it must be ${key.accepted}.`
  if (key.variants !== undefined && Predicate.isReadonlyObject(value)) {
    const { by, forms } = key.variants
    const form = value[by]
    const accepted = orList(Object.keys(forms).map((name) => JSON.stringify(name)))
    return form === undefined
      ? `${path}.${by} is missing: it must be ${accepted}.`
      : `${path}.${by} is ${quoted({ ...key, isSecret: false }, form)}, but must be ${accepted}.`
  }
  return `${path} is ${quoted(key, value)}, but must be ${key.accepted}.`
}

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
    ...Object.entries(table).flatMap(([name, key]) => {
      const value = given[name]
      const inner = keysOf(key, value)
      if (inner !== undefined) {
        const names = key.variants === undefined ? inner : { ...inner, [key.variants.by]: key }
        return unknownKeys(names, value, `${path}${name}.`)
      }
      return isListOfObjects(key) && Array.isArray(value)
        ? value.flatMap((item, index) => unknownKeys(key.children, item, `${path}${name}[${index}].`))
        : []
    })
  ]
}
