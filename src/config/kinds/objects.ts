/** Objects with keys of their own: one, a list of them, or one of several forms. */
import { Schema } from "effect"
import {
  type Fields,
  formOf,
  type Key,
  type KeyOptions,
  type Keys,
  makeKey,
  schemaOf,
  type Variant
} from "../Key.ts"
import { orList } from "./wording.ts"

/** An object with its own keys. */
export const object = <const T extends Keys, const O extends KeyOptions<never>>(children: T, options: O) =>
  makeKey(options, {
    value: schemaOf(children),
    form: (annotations) => formOf(children).annotate(annotations),
    accepted: `an object with ${Object.keys(children).join(", ")}`,
    children,
    isSecret: holdsSecret(children)
  })

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
    form: (annotations) =>
      Schema.Array(formOf(children)).annotate({ ...annotations, examples: [[options.example]] }),
    accepted: `a list of objects such as ${JSON.stringify(options.example)}`,
    children,
    isList: true,
    isSecret: holdsSecret(children)
  })

/** The decoded object of one of several forms. */
type VariantSchema<By extends string, V extends Readonly<Record<string, Variant<Keys>>>> = {
  readonly [Name in keyof V]: Schema.Struct<
    { readonly [_ in By]: Schema.Literal<Name & string> } & Fields<V[Name]["keys"]>
  >
}[keyof V]

/** An object that has one of several forms. The key `by` names the form. That of the first one stands for an absent object. */
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
          formOf({ [by]: constant(name, description), ...keys }).annotate({ title, description })
        ),
        { mode: "oneOf" }
      ).annotate({ ...annotations, type: "object", default: { [by]: entries[0]?.[0] } }),
    accepted: `an object with ${by}: ${orList(entries.map(([name]) => JSON.stringify(name)))}`,
    variants: { by, forms: variants },
    isSecret: entries.some(([, { keys }]) => holdsSecret(keys))
  })
}

/** The key that names a form. */
const constant = (name: string, description: string): Key =>
  makeKey(
    { title: "Type", description, isRequired: true },
    {
      value: Schema.String,
      form: ({ order }) =>
        Schema.String.annotate({ title: "Type", description, order, const: name, default: name }),
      accepted: JSON.stringify(name)
    }
  )

const holdsSecret = (keys: Keys): boolean => Object.values(keys).some(({ isSecret }) => isSecret)
