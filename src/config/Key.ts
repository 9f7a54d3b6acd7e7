/** The type of a row in the table of keys. `kinds.ts` builds rows, `keys.ts` lists them. */
import { Effect, Predicate, Schema } from "effect"

/** The command-line flag for a key. */
export interface KeyFlag {
  readonly name: string
  /** What stands for its value in the help. A switch has none. */
  readonly metavar?: string
  readonly description: string
  /** The flag's values are added to those of the configuration file instead of replacing them. */
  readonly isAdded?: true
  /** An empty file is an empty secret, and not a mistake. */
  readonly mayBeEmpty?: true
  /** The flag selects the server, or says how to reach it and with which credentials. */
  readonly isOfServer?: true
  /** What a switch sets the key to. */
  readonly sets?: boolean
  /** The flag names a file that contains the value. That of a secret always does, unless it has a `refusal`. */
  readonly isFile?: true
  /** The environment variable with the value, if the flag is not given. */
  readonly variable?: string
  /** The value is a list of objects with name and value: a line for each, with this text between the two. */
  readonly separator?: string
  /** Parses the text of a flag with its own form, such as NAME=VALUE. Returns undefined for any other text. */
  readonly parse?: (value: string) => unknown
  /** Merges parsed values that belong together. */
  readonly join?: (values: ReadonlyArray<unknown>) => ReadonlyArray<unknown>
  /** Why a value may not be on the command line, as the end of a sentence. */
  readonly refusal?: (value: string) => string | undefined
}

/** The groups of keys in forms, in their order, with their titles. */
export const keyGroups = {
  connection: "Connection",
  selection: "What to read",
  tuning: "Tuning"
} as const

/** A group of keys in forms. */
export type KeyGroup = keyof typeof keyGroups

/** The options of every row. */
export interface KeyOptions<Input = unknown> {
  readonly title: string
  readonly description: string
  /** The key is required. If it also has a default, only the forms of platforms require it. */
  readonly isRequired?: true
  /** The default, as a configuration would write it. */
  readonly default?: Input
  readonly examples?: ReadonlyArray<Input>
  /** Where forms show a key of the top level. */
  readonly group?: KeyGroup
  /** Forms show the optional key without being asked to. */
  readonly alwaysShow?: true
  readonly flag?: KeyFlag
}

/** How a key is decoded: its value, or the default. */
export type Field<S extends Schema.Top, O> = O extends { readonly default: S["Encoded"] }
  ? Schema.withDecodingDefaultKey<S>
  : O extends { readonly isRequired: true }
    ? S
    : Schema.optionalKey<S>

/** Keywords for the JSON Schema of a key. */
export type Annotations = Readonly<Record<string, unknown>>

/** The options that a kind of value adds to a row. */
export interface Kind<S extends Schema.Top> {
  readonly value: S
  /** The schema of the value in a form, with annotations, if it differs from the decoded one. */
  readonly form?: (annotations: Annotations) => Schema.Top
  /** A description of the accepted values, as the end of a sentence. */
  readonly accepted: string
  /** The keys of the object, or of each object in the list. */
  readonly children?: Keys
  /** The object has other keys for each value of one of them. */
  readonly variants?: Variants | undefined
  /** The value is a list. */
  readonly isList?: boolean
  /** The value is or contains a secret; no message quotes any of it. */
  readonly isSecret?: boolean
  /** The problems of a value of the right type, as sentences. `path` is its name for users. */
  readonly problems?: (value: S["Type"], path: string) => ReadonlyArray<string>
  /** Warnings about a valid but unusual value, as sentences. */
  readonly warnings?: (value: S["Type"], path: string) => ReadonlyArray<string>
}

/** An object that has one of several forms. */
export interface Variants {
  /** The key that names the form. */
  readonly by: string
  readonly forms: Readonly<Record<string, Variant<Keys>>>
}

/** One form of an object, with its keys besides the one that names it. */
export interface Variant<T extends Keys> {
  readonly title: string
  readonly description: string
  readonly keys: T
}

/** A row of the table of keys: the definition of one key of the configuration. */
export interface Key<F extends Schema.Top = Schema.Top>
  extends KeyOptions,
    Readonly<Required<Omit<Kind<Schema.Top>, "value">>> {
  readonly field: F
}

/** A table of keys. */
export type Keys = Readonly<Record<string, Key>>

/** A row from its options and its kind. */
export const makeKey = <S extends Schema.Top, const O extends KeyOptions<NoInfer<S["Encoded"]>>>(
  options: O,
  { value, ...kind }: Kind<S>
): Key<Field<S, O>> => {
  const optional = options.isRequired ? value : Schema.optionalKey(value)
  const field =
    options.default === undefined
      ? optional
      : Schema.withDecodingDefaultKey(Effect.succeed(options.default))(value)
  return {
    form: (annotations) => Schema.toType(value).annotate(annotations),
    children: {},
    variants: undefined,
    isList: false,
    isSecret: false,
    problems: () => [],
    warnings: () => [],
    ...kind,
    ...options,
    field: field as Field<S, O>
  }
}

/** The fields that decode the keys of a table. */
export type Fields<Table extends Keys> = { readonly [Name in keyof Table]: Table[Name]["field"] }

/** The schema that decodes an object with these keys. */
export const schemaOf = <const Table extends Keys>(table: Table): Schema.Struct<Fields<Table>> =>
  Schema.Struct(mapKeys(table, ({ field }) => field) as Fields<Table>)

/** The schema of the same object in a form. */
export const formOf = (table: Keys): Schema.Top =>
  Schema.Struct(
    mapKeys(table, ({ alwaysShow, description, examples, form, group, isRequired, title, ...key }, order) => {
      const field = form({
        title,
        description,
        examples,
        default: key.default,
        order,
        ...(group === undefined ? {} : { group }),
        ...(alwaysShow === undefined ? {} : { always_show: true })
      })
      return isRequired ? field : Schema.optionalKey(field)
    })
  )

const mapKeys = <A>(table: Keys, f: (key: Key, index: number) => A): Record<string, A> =>
  Object.fromEntries(Object.entries(table).map(([name, key], index) => [name, f(key, index)]))

/** One of the forms of an object. */
export interface Form {
  /** The path of the object. */
  readonly of: string
  /** The key that names the form. */
  readonly by: string
  readonly name: string
}

/** A key, its path, and the innermost form that has it. */
export interface KeyWithPath {
  readonly path: string
  readonly key: Key
  readonly form?: Form | undefined
}

/** All keys of a table with their paths, such as `metrics.include`. Nested keys follow their parent. */
export const keysWithPaths = (
  table: Keys,
  prefix = "",
  form: Form | undefined = undefined
): ReadonlyArray<KeyWithPath> =>
  Object.entries(table).flatMap(([name, key]): ReadonlyArray<KeyWithPath> => {
    const path = prefix + name
    const inner = `${path}${key.isList ? "[]" : ""}.`
    const { by = "", forms = {} } = key.variants ?? {}
    return [
      { path, key, form },
      ...keysWithPaths(key.children, inner, form),
      ...Object.entries(forms).flatMap(([name, { keys }]) =>
        keysWithPaths(keys, inner, { of: path, by, name })
      )
    ]
  })

/** The keys that an object may have: undefined if it is none, or does not say which form it has. */
export const keysOf = ({ children, isList, variants }: Key, value: unknown): Keys | undefined => {
  if (isList || !Predicate.isReadonlyObject(value)) return undefined
  if (variants === undefined) return Object.keys(children).length === 0 ? undefined : children
  const form = value[variants.by]
  return typeof form === "string" && Object.hasOwn(variants.forms, form)
    ? variants.forms[form]?.keys
    : undefined
}
