/**
 * The keys of the configuration, one row each, in `keys`. Decoding, defaults, messages, the JSON Schema of `spec`, flags, masking
 * and the reference in the documentation are derived from these rows.
 */
import type { Schema } from "effect"
import { type Fields, schemaOf } from "./Key.ts"
import { authenticationKeys } from "./keys/authentication.ts"
import { addressKeys, connectionKeys } from "./keys/connection.ts"
import { recordKeys } from "./keys/records.ts"
import { streamKeys } from "./keys/streams.ts"
import { cursorKeys, rangeKeys } from "./keys/times.ts"
import { tuningKeys } from "./keys/tuning.ts"

/** All keys, in the order in which forms show them. */
export const keys = {
  ...addressKeys,
  ...authenticationKeys,
  ...connectionKeys,
  ...rangeKeys,
  ...streamKeys,
  ...recordKeys,
  ...cursorKeys,
  ...tuningKeys
}

/** Decodes a configuration. */
export const ConfigSchema: Schema.Struct<Fields<typeof keys>> = schemaOf(keys)

/** The decoded configuration: durations are integer seconds, and defaults are applied. */
export type Config = typeof ConfigSchema.Type

/** The configuration before decoding. Only `base_url` and `start_date` are required. Durations may be strings such as `"1h"`. */
export type ConfigInput = typeof ConfigSchema.Encoded
