/**
 * The configuration as users write it. One schema is the single source: it decodes the configuration, and
 * the JSON Schema of the `spec` is derived from it.
 */
import { Effect, Schema, SchemaGetter } from "effect"

/** What the connector uses where the configuration says nothing. */
export const defaults = {
  step: 3600,
  label_columns: true,
  lookback_window: 0,
  settle_delay: 60,
  concurrency: 4,
  request_timeout: 120,
  max_retries: 5,
  compression: "none",
  partial_data: "fail"
} as const

/** A point in time: a day (its first moment) or a second, both in UTC. */
export const DATE_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$"

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** Seconds from `"3600"`, `"1h"` or `"1h30m"`; NaN for anything else. */
export const parseSeconds = (text: string): number => {
  if (/^\d+$/.test(text)) return Number(text)
  if (!/^(\d+[smhdw])+$/.test(text)) return Number.NaN
  return Array.from(text.matchAll(/(\d+)([smhdw])/g)).reduce(
    (total, [, count, unit]) => total + Number(count) * unitSeconds[unit!]!,
    0
  )
}

const wholeNumber = (minimum: number, maximum: number) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** More is a mistake. */
const TEN_YEARS = 315_360_000
const ONE_DAY = 86_400

/** Whole seconds; strings with a number or a duration are accepted too. */
const seconds = (minimum: number, maximum: number) =>
  Schema.Union([Schema.Number, Schema.String]).pipe(
    Schema.decodeTo(wholeNumber(minimum, maximum), {
      decode: SchemaGetter.transform((value: number | string) =>
        typeof value === "string" ? parseSeconds(value.trim()) : value
      ),
      encode: SchemaGetter.transform((value: number) => value)
    })
  )

/** Whether a text is a day or second that exists, since 1970. */
const isMoment = (text: string): boolean => parseMoment(text) >= 0

/** Milliseconds since the epoch; NaN for a day that does not exist. */
export const parseMoment = (text: string): number => {
  if (!new RegExp(DATE_PATTERN).test(text)) return Number.NaN
  const milliseconds = Date.parse(text)
  // Date.parse takes 31 February for 3 March.
  return Number.isFinite(milliseconds) && new Date(milliseconds).toISOString().startsWith(text.slice(0, 10))
    ? milliseconds
    : Number.NaN
}

/** The annotations stand on the text, not on its check: only there do they reach the JSON Schema. */
const moment = (annotations: Schema.Annotations.Documentation<string> & { readonly order: number }) =>
  Schema.String.annotate({
    ...annotations,
    format: "date",
    pattern: DATE_PATTERN,
    pattern_descriptor: "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ"
  }).check(Schema.makeFilter(isMoment))

/** The configuration, decoded: durations are whole seconds. It holds secrets in the clear, so it goes nowhere. */
export const ConfigSchema = Schema.Struct({
  base_url: Schema.String.annotate({
    title: "Base URL",
    description: "The address of Prometheus, with its path prefix if it has one.",
    examples: ["https://prometheus.example.com", "https://example.com/prometheus"],
    order: 0
  }),
  basic_auth_user: Schema.optionalKey(
    Schema.String.annotate({
      title: "Basic auth user",
      description: "The user name for HTTP basic authentication; leave empty if the server asks for none.",
      order: 1
    })
  ),
  basic_auth_pass: Schema.optionalKey(
    Schema.String.annotate({
      title: "Basic auth password",
      description: "The password for HTTP basic authentication.",
      airbyte_secret: true,
      order: 2
    })
  ),
  start_date: moment({
    title: "Start date",
    description: "Data on and after this moment (UTC) is replicated.",
    examples: ["2026-01-01"],
    order: 3
  }),
  step: seconds(1, TEN_YEARS)
    .annotate({
      title: "Step",
      description: "Seconds between two data points: one data point per step and series is replicated.",
      default: defaults.step,
      order: 4
    })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.step))),
  end_date: Schema.optionalKey(
    moment({
      title: "End date",
      description: "Stop at this moment (UTC) instead of at the current time.",
      examples: ["2026-02-01"],
      order: 5
    })
  ),
  metrics: Schema.optionalKey(
    Schema.Struct({
      include: Schema.optionalKey(
        Schema.Array(Schema.String).annotate({
          title: "Include",
          description: "Only metrics whose name matches one of these patterns. Empty means all.",
          examples: [["node_*", "http_requests_total"]],
          order: 0
        })
      ),
      exclude: Schema.optionalKey(
        Schema.Array(Schema.String).annotate({
          title: "Exclude",
          description: "No metrics whose name matches one of these patterns.",
          examples: [["go_*", ".*_bucket"]],
          order: 1
        })
      )
    }).annotate({
      title: "Metrics",
      description:
        "Which metrics become streams. A pattern is matched against the whole name: * stands for any characters and ? for one; a pattern with other special characters is a regular expression of RE2, as in Prometheus.",
      order: 6
    })
  ),
  selector: Schema.optionalKey(
    Schema.String.annotate({
      title: "Selector",
      description: "Label matchers that are added to every query, to replicate only some of the series.",
      examples: ['{env="prod",job=~"api.*"}'],
      order: 7
    })
  ),
  label_columns: Schema.optionalKey(
    Schema.Boolean.annotate({
      title: "A column per label",
      description: "Switch off to get all labels of a series in one object column called labels.",
      default: defaults.label_columns,
      order: 8
    })
  ),
  exclude_labels: Schema.optionalKey(
    Schema.Array(Schema.String).annotate({
      title: "Excluded labels",
      description:
        "Labels that are left out of every record, for example because they hold personal data. A series keeps the series_id of all its labels.",
      examples: [["user_email", "client_ip"]],
      order: 9
    })
  ),
  lookback_window: Schema.optionalKey(
    seconds(0, TEN_YEARS).annotate({
      title: "Look-back window",
      description:
        "Each incremental sync reads that many seconds before its cursor again, for samples that arrive late.",
      default: defaults.lookback_window,
      order: 10
    })
  ),
  settle_delay: Schema.optionalKey(
    seconds(0, TEN_YEARS).annotate({
      title: "Settle delay",
      description: "Data points newer than that many seconds are left for the next sync.",
      default: defaults.settle_delay,
      order: 11
    })
  ),
  headers: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        name: Schema.String.annotate({
          title: "Name",
          description: "The name of the header.",
          examples: ["X-Scope-OrgID"],
          order: 0
        }),
        value: Schema.String.annotate({
          title: "Value",
          description: "The value of the header.",
          airbyte_secret: true,
          order: 1
        })
      })
    ).annotate({
      title: "HTTP headers",
      description: "Sent with every request, for example X-Scope-OrgID for Mimir.",
      order: 12
    })
  ),
  concurrency: Schema.optionalKey(
    wholeNumber(1, 64).annotate({
      title: "Concurrency",
      description: "How many queries the server is asked to work on at the same time.",
      default: defaults.concurrency,
      order: 13
    })
  ),
  request_timeout: Schema.optionalKey(
    seconds(1, ONE_DAY).annotate({
      title: "Request timeout",
      description: "Seconds to wait for an answer to begin or to go on, before the request is tried again.",
      default: defaults.request_timeout,
      order: 14
    })
  ),
  max_retries: Schema.optionalKey(
    wholeNumber(0, 20).annotate({
      title: "Retries",
      description: "How often a request that fails for a passing reason is tried again.",
      default: defaults.max_retries,
      order: 15
    })
  ),
  compression: Schema.optionalKey(
    Schema.Literals(["none", "gzip"]).annotate({
      title: "Compression",
      description:
        "gzip saves bandwidth across a WAN; none saves the server a lot of work and is faster on a LAN.",
      default: defaults.compression,
      order: 16
    })
  ),
  partial_data: Schema.optionalKey(
    Schema.Literals(["fail", "accept"]).annotate({
      title: "Partial data",
      description:
        "What to do where the server warns that its answer may lack data, as Thanos does without one of its stores: fail, so that the next sync reads it again; or accept it, and log the warning.",
      default: defaults.partial_data,
      order: 17
    })
  )
})

export type Config = typeof ConfigSchema.Type

/** The configuration as it is written: only `base_url` and `start_date` are required. Durations may be texts such as `"1h"`. */
export type ConfigInput = typeof ConfigSchema.Encoded

export type ConfigKey = keyof typeof ConfigSchema.fields

const durations = 'such as 3600, "3600" or "1h"'
const aMoment = "a day since 1970 such as 2026-01-01, or a UTC date-time such as 2026-01-01T00:00:00Z"
const patterns = "lists of patterns such as node_* or http_.*_total"

/** What each key accepts, as the end of a sentence. */
export const accepted: Readonly<Record<ConfigKey, string>> = {
  base_url:
    "an http or https URL such as https://prometheus.example.com/prometheus, without user, query or fragment",
  basic_auth_user: "a text",
  basic_auth_pass: "a text",
  start_date: aMoment,
  step: `a whole number of seconds from 1 to 315360000 (ten years), ${durations}`,
  end_date: aMoment,
  metrics: `an object with include and exclude, both ${patterns}`,
  selector: 'label matchers such as {env="prod",job=~"api.*"}',
  label_columns: "true or false",
  exclude_labels: 'a list of names of labels such as ["user_email", "client_ip"]',
  lookback_window: `a whole number of seconds from 0 to 315360000 (ten years), ${durations}`,
  settle_delay: `a whole number of seconds from 0 to 315360000 (ten years), ${durations}`,
  headers: 'a list of objects such as {"name": "X-Scope-OrgID", "value": "tenant"}',
  concurrency: "a whole number from 1 to 64",
  request_timeout: `a whole number of seconds from 1 to 86400 (a day), ${durations}`,
  max_retries: "a whole number from 0 to 20",
  compression: '"none" or "gzip"',
  partial_data: '"fail" or "accept"'
}
