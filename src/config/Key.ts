/** The type of a row in the table of keys. `kinds.ts` builds rows, `keys.ts` lists them. */
import { Effect, Schema } from "effect"

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

/** The options of every row. */
export interface KeyOptions<Input = unknown> {
  readonly title: string
  readonly description: string
  /** The key is required. If it also has a default, only the forms of platforms require it. */
  readonly isRequired?: true
  /** The default, as a configuration would write it. */
  readonly default?: Input
  readonly examples?: ReadonlyArray<Input>
  readonly flag?: KeyFlag
}

/** How a key is decoded: its value, or the default. */
export type Field<S extends Schema.Top, O> = O extends { readonly default: S["Encoded"] }
  ? Schema.withDecodingDefaultKey<S>
  : O extends { readonly isRequired: true }
    ? S
    : Schema.optionalKey<S>

/** The options that a kind of value adds to a row. */
export interface Kind<S extends Schema.Top> {
  readonly value: S
  /** The type of the value in a form, if it differs from the decoded one. */
  readonly form?: Schema.Top
  /** Further keywords of its JSON Schema. */
  readonly annotations?: Readonly<Record<string, unknown>>
  /** A description of the accepted values, as the end of a sentence. */
  readonly accepted: string
  /** The keys of the object, or of each object in the list. */
  readonly children?: Keys
  /** The value is a list. */
  readonly isList?: boolean
  /** The value is or contains a secret; no message quotes any of it. */
  readonly isSecret?: boolean
  /** The value as messages may quote it. */
  readonly quotable?: (value: unknown) => unknown
  /** The problems of a value of the right type, as sentences. `path` is its name for users. */
  readonly problems?: (value: S["Type"], path: string) => ReadonlyArray<string>
  /** Warnings about a valid but unusual value, as sentences. */
  readonly warnings?: (value: S["Type"], path: string) => ReadonlyArray<string>
}

/** A row of the table of keys: the definition of one key of the configuration. */
export interface Key<F extends Schema.Top = Schema.Top>
  extends Readonly<Required<Omit<Kind<Schema.Top>, "value" | "form" | "annotations">>> {
  readonly title: string
  readonly description: string
  readonly isRequired: boolean
  readonly default: unknown
  readonly flag: KeyFlag | undefined
  readonly field: F
  /** The schema of the key in a form, at its position. */
  readonly formAt: (order: number) => Schema.Top
}

/** A table of keys. */
export type Keys = Readonly<Record<string, Key>>

/** A row from its options and its kind. */
export const makeKey = <S extends Schema.Top, const O extends KeyOptions<NoInfer<S["Encoded"]>>>(
  { title, description, isRequired = false as never, examples, flag, ...options }: O,
  kind: Kind<S>
): Key<Field<S, O>> => {
  const { value, form = Schema.toType(value) } = kind
  const field =
    options.default !== undefined
      ? Schema.withDecodingDefaultKey(Effect.succeed(options.default))(value)
      : isRequired
        ? value
        : Schema.optionalKey(value)
  return {
    accepted: kind.accepted,
    children: kind.children ?? {},
    isList: kind.isList ?? false,
    isSecret: kind.isSecret ?? false,
    quotable: kind.quotable ?? ((value) => value),
    problems: kind.problems ?? (() => []),
    warnings: kind.warnings ?? (() => []),
    title,
    description,
    isRequired,
    default: options.default,
    flag,
    field: field as Field<S, O>,
    formAt: (order) => {
      const annotated = form.annotate({
        ...kind.annotations,
        title,
        description,
        order,
        ...(examples === undefined ? {} : { examples }),
        ...(options.default === undefined ? {} : { default: options.default })
      }) as Schema.Top
      return isRequired ? annotated : Schema.optionalKey(annotated)
    }
  }
}

/** The fields that decode the keys of a table. */
export type Fields<Table extends Keys> = { readonly [Name in keyof Table]: Table[Name]["field"] }

/** The schema that decodes an object with these keys. */
export const schemaOf = <const Table extends Keys>(table: Table): Schema.Struct<Fields<Table>> =>
  Schema.Struct(mapKeys(table, ({ field }) => field) as Fields<Table>)

/** The schema of the same object in a form. */
export const formOf = (table: Keys): Schema.Top =>
  Schema.Struct(mapKeys(table, ({ formAt }, order) => formAt(order)))

const mapKeys = <A>(table: Keys, f: (key: Key, index: number) => A): Record<string, A> =>
  Object.fromEntries(Object.entries(table).map(([name, key], index) => [name, f(key, index)]))

/** All keys of a table with their paths, such as `metrics.include`. Nested keys follow their parent. */
export const keysWithPaths = (table: Keys, prefix = ""): ReadonlyArray<readonly [path: string, key: Key]> =>
  Object.entries(table).flatMap(([name, key]) => [
    [prefix + name, key] as const,
    ...keysWithPaths(key.children, `${prefix}${name}${key.isList ? "[]" : ""}.`)
  ])
