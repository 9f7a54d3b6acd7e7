/** The type of a check that concerns several keys. */
import type { Config } from "./keys.ts"

/** The problems between the keys of a configuration, as sentences. */
export type Check = (config: PartialConfig) => ReadonlyArray<string>

/** A configuration without its invalid keys. Objects in it may lack keys, too. */
export type PartialConfig = Partial<Omit<Config, "authentication" | "tls">> & {
  readonly authentication?: PartialAuthentication
  readonly tls?: Partial<NonNullable<Config["tls"]>>
}

/** What is valid of the key `authentication`. */
export type PartialAuthentication = PartialUnion<NonNullable<Config["authentication"]>>

type PartialUnion<Form> = Form extends { readonly auth_type: infer Type }
  ? { readonly auth_type: Type } & Partial<Omit<Form, "auth_type">>
  : never
