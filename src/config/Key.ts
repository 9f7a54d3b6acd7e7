/** The type of a row in the table of keys. `kinds.ts` builds rows, `keys.ts` lists them. */
import { Effect, Predicate, Schema } from "effect"

/** The command-line flag for a key. */
export interface KeyFlag {
  readonly name: string
  readonly metavar: string
  readonly description: string
  /** The flag's values are added to those of the configuration file instead of replacing them. */
  readonly isAdded?: true
  /** The flag selects the server or sets its credentials. */
  readonly isOfServer?: true
  /** A secret has no flag of its own. This environment variable holds it, or the flag names a file that contains it. */
  readonly variable?: string
}

/** The groups of keys in forms. */
export type KeyGroup = "connection" | "selection" | "tuning"

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

/** The tables of keys of an object that has one of several forms. */
export interface Variants {
  /** The key that names the form. */
  readonly by: string
  /** The other keys of each form. */
  readonly tables: Readonly<Record<string, Keys>>
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

/** All keys of a table with their paths, such as `metrics.include`. Nested keys follow their parent. */
export const keysWithPaths = (table: Keys, prefix = ""): ReadonlyArray<readonly [path: string, key: Key]> =>
  Object.entries(table).flatMap(([name, key]) => [
    [prefix + name, key] as const,
    ...[key.children, ...Object.values(key.variants?.tables ?? {})].flatMap((inner) =>
      keysWithPaths(inner, `${prefix}${name}${key.isList ? "[]" : ""}.`)
    )
  ])

/** The keys that an object may have: undefined if it is none, or does not say which form it has. */
export const keysOf = ({ children, isList, variants }: Key, value: unknown): Keys | undefined => {
  if (isList || !Predicate.isReadonlyObject(value)) return undefined
  if (variants === undefined) return Object.keys(children).length === 0 ? undefined : children
  const form = value[variants.by]
  return typeof form === "string" && Object.hasOwn(variants.tables, form) ? variants.tables[form] : undefined
}
