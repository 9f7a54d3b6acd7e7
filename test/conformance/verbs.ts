/** The protocol's commands with the output that each always has, and servers that none of them can use. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { MockOptions } from "../../src/mock/MockPrometheus.ts"
import * as connector from "../support/connector.ts"
import { gauge } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import * as rules from "./rules.ts"

/** Runs `check`, which emits one status and exits with 0, whether it succeeds or fails. */
export const check = Effect.fnUntraced(function* (config: unknown) {
  const files = yield* connector.workspace
  const output = yield* rules.verb(["check", "--config", files.write("config.json", config)])
  assert.deepStrictEqual(typesOf(output), ["CONNECTION_STATUS"])
  assert.strictEqual(output.code, 0)
  const { connectionStatus } = output.messages.find(({ type }) => type === "CONNECTION_STATUS") as {
    readonly connectionStatus?: { readonly status: string; readonly message?: string }
  }
  return { ...output, message: connectionStatus?.message ?? "", status: connectionStatus?.status }
})

/** Runs `discover` with a valid configuration: it emits one catalog. */
export const discover = Effect.fnUntraced(function* (config: unknown) {
  const files = yield* connector.workspace
  const output = yield* rules.verb(["discover", "--config", files.write("config.json", config)])
  assert.deepStrictEqual(typesOf(output), ["CATALOG"])
  assert.strictEqual(output.code, 0)
  const { catalog } = output.messages.find(({ type }) => type === "CATALOG") as unknown as {
    readonly catalog: { readonly streams: ReadonlyArray<connector.Stream> }
  }
  return { ...output, streams: catalog.streams }
})

/** The types of the messages, except logs. */
export const typesOf = (output: connector.Output): ReadonlyArray<unknown> =>
  output.messages.map(({ type }) => type).filter((type) => type !== "LOG")

/** Asserts that a command could not start: it emits only one TRACE with the reason. */
export const assertRefused = (
  output: connector.Output,
  failureType: string,
  ...says: ReadonlyArray<RegExp>
): void => {
  assert.deepStrictEqual(typesOf(output), ["TRACE"], output.stdout)
  const [error] = output.errors
  assert.strictEqual(error?.failure_type, failureType, error?.message)
  for (const text of says) assert.match(error?.message ?? "", text)
  // Only messages about the command line end like this.
  assert.strictEqual(output.code, error?.message.endsWith(" --help.") ? 2 : 1)
}

/** A password that no message may contain, in clear text or as it is sent. */
export const password = "Geheim-4711"

/** Asserts that the password is not printed. */
export const assertNoPassword = ({ stdout }: connector.Output): void => {
  assert.notInclude(stdout, password)
  assert.notInclude(stdout, Buffer.from(`reader:${password}`).toString("base64"))
}

/** A server that cannot be read, and what the message must contain: what happened, where, and what to do. */
interface Unusable {
  readonly what: string
  readonly mock: MockOptions
  readonly failureType: "config_error" | "transient_error"
  readonly says: ReadonlyArray<RegExp>
  readonly isDown?: true
  readonly more?: object
}

const always = (fault: ReturnType<NonNullable<MockOptions["faults"]>>): MockOptions => ({
  faults: () => fault
})

const where = /^http:\/\/127\.0\.0\.1:\d+\/api\/v1\/query /

export const unusableServers: ReadonlyArray<Unusable> = [
  {
    what: "refuses the password",
    mock: { basicAuth: { user: "reader", password: "another" } },
    failureType: "config_error",
    says: [where, /HTTP 401: Unauthorized/, /Check basic_auth_user, basic_auth_pass/]
  },
  {
    what: "does not have the path",
    mock: always({ status: 404, body: "404 page not found" }),
    failureType: "config_error",
    says: [where, /HTTP 404/, /Check the path of base_url/]
  },
  {
    what: "responds with a login page",
    mock: always({
      headers: { "content-type": "text/html; charset=utf-8" },
      body: "<!doctype html><html><head><title>Sign in</title></head></html>"
    }),
    failureType: "config_error",
    says: [where, /a web page titled "Sign in"/, /looks like a login page.*Set authentication/]
  },
  {
    what: "is another program that speaks JSON",
    mock: always({ headers: { "content-type": "application/json" }, body: '{"hello":"world"}' }),
    failureType: "config_error",
    says: [/\/api\/v1\/query is not a Prometheus response/, /\{"hello":"world"\}/, /Check base_url/]
  },
  {
    what: "redirects to another host",
    mock: always({ status: 302, headers: { location: "https://login.example.com/?from=prometheus" } }),
    failureType: "config_error",
    says: [
      where,
      /redirects to https:\/\/login\.example\.com\//,
      /looks like a login page.*Set authentication .* bearer token/
    ]
  },
  {
    what: "redirects to another address",
    mock: always({ status: 302, headers: { location: "https://metrics.example.com/x" } }),
    failureType: "config_error",
    says: [where, /redirects to https:\/\/metrics\.example\.com\/x/, /Set base_url to the address that/]
  },
  {
    what: "has an internal error",
    mock: always({ status: 500, body: "out of memory" }),
    failureType: "transient_error",
    says: [where, /HTTP 500: out of memory/, /try again later/]
  },
  {
    what: "is not ready",
    mock: always({ status: 503, body: "Service Unavailable" }),
    failureType: "transient_error",
    says: [where, /HTTP 503: Service Unavailable/, /try again later/]
  },
  {
    what: "never responds",
    mock: always({ delayMillis: Number.POSITIVE_INFINITY }),
    // Only for this server: on a busy machine the others may take longer to respond.
    more: { request_timeout: 1 },
    failureType: "transient_error",
    says: [where, /did not respond within 1 s/, /raise request_timeout/]
  },
  {
    what: "breaks every connection",
    mock: always({ reset: true }),
    failureType: "transient_error",
    says: [where, /the connection was reset/, /If it expects TLS, set base_url to an address with https/]
  },
  {
    what: "is down",
    mock: {},
    isDown: true,
    failureType: "transient_error",
    says: [where, /connection refused/, /Check base_url, that the server runs/]
  }
]

/** The tests of `check` cover every unusable server; the other commands are tested with these. */
export const typicalServers = unusableServers.filter(({ what }) =>
  ["refuses the password", "has an internal error", "never responds", "is down"].includes(what)
)

/** Serves such a server. Returns its configuration, with a password. */
export const serveUnusable = Effect.fnUntraced(function* ({ isDown, mock, more }: Unusable) {
  const server = serve(gauge("m", 5), 5, mock, {
    basic_auth_user: "reader",
    basic_auth_pass: password,
    max_retries: 0,
    ...more
  })
  // Once the scope is closed, nothing listens at the address.
  return (yield* isDown === true ? Effect.scoped(server) : server).config
})

/** Invalid configurations, and what the message must contain: the key, its value, and what it must be. */
export const wrongConfigurations: ReadonlyArray<{
  readonly what: string
  readonly more: object
  readonly says: ReadonlyArray<RegExp>
}> = [
  {
    what: "no address",
    more: { base_url: undefined },
    says: [/base_url is missing: it must be an http or https URL such as/]
  },
  {
    what: "an address with another protocol",
    more: { base_url: "ftp://prometheus" },
    says: [/base_url is "ftp:\/\/prometheus", but must be an http or https URL/]
  },
  {
    what: "an address with a password in it",
    more: { base_url: `http://reader:${password}@localhost:9090` },
    says: [/base_url .*must not contain a user or password: set basic_auth_user and basic_auth_pass/]
  },
  {
    what: "no start date",
    more: { start_date: null },
    says: [/start_date is missing: it must be a date since 1970/]
  },
  {
    what: "a day that does not exist",
    more: { start_date: "2026-02-30" },
    says: [/start_date is "2026-02-30", but must be a date since 1970 such as 2026-01-01/]
  },
  {
    what: "an end before the start",
    more: { start_date: "2026-01-02", end_date: "2026-01-01" },
    says: [/end_date is 2026-01-01, but must not be before start_date 2026-01-02\./]
  },
  {
    what: "a step of zero",
    more: { step: 0 },
    says: [/step is 0, but must be a whole number of seconds from 1/]
  },
  {
    what: "a password without a user",
    more: { basic_auth_pass: password },
    says: [/basic_auth_pass is set without basic_auth_user: basic authentication needs both/]
  },
  {
    what: "a password that is not a string",
    more: { basic_auth_user: "reader", basic_auth_pass: { secret: password } },
    says: [/basic_auth_pass is not of the right type .*must be text/]
  },
  {
    what: "an invalid header",
    more: { headers: [{ name: `X ${password}`, value: password }] },
    says: [/headers\[0\]\.name is not a valid HTTP header name: .*such as X-Scope-OrgID/]
  },
  {
    what: "a selector without quotes",
    more: { selector: "{env=prod}" },
    says: [/selector must be label matchers such as \{env="prod"/]
  },
  {
    what: "a pattern that is not a regular expression",
    more: { metrics: { include: ["("] } },
    says: [/metrics\.include: .*\(/]
  },
  {
    what: "a number out of range",
    more: { concurrency: 65 },
    says: [/concurrency is 65, but must be a whole number from 1 to 64/]
  },
  {
    what: "an unknown choice",
    more: { compression: "zip" },
    says: [/compression is "zip", but must be "none" or "gzip"/]
  },
  {
    what: "several errors",
    more: { step: "often", label_columns: "yes", basic_auth_pass: password },
    says: [/step is "often"/, /label_columns is "yes"/, /basic_auth_pass is set without basic_auth_user/]
  }
]

/** The messages about a stream: its statuses, states and errors in order, with consecutive records as one. */
export const storyOf = (output: connector.Output, name: string): string => {
  const words = output.messages.flatMap((message) => {
    const { record, state, trace } = message as {
      readonly record?: { readonly stream: string }
      readonly state?: connector.StateOfStream
      readonly trace?: {
        readonly error?: connector.TraceError
        readonly stream_status?: {
          readonly stream_descriptor: { readonly name: string }
          readonly status: string
          readonly reasons?: unknown
        }
      }
    }
    if (record?.stream === name) return ["RECORD"]
    if (state?.stream.stream_descriptor.name === name) return ["STATE"]
    if (trace?.error?.stream_descriptor?.name === name) return ["ERROR"]
    const status = trace?.stream_status
    if (status?.stream_descriptor.name !== name) return []
    return [status.reasons === undefined ? status.status : "WAITING"]
  })
  return words.filter((word, i) => word !== "RECORD" || words[i - 1] !== "RECORD").join(" ")
}

/** The data of all records, sorted. */
export const dataOf = (output: connector.Output): ReadonlyArray<string> =>
  output.records.map(({ data, stream }) => JSON.stringify([stream, data])).sort()

/** A configured catalog of streams as `discover` would return them, without running it. */
export const catalogOf = (
  mode: "full_refresh" | "incremental",
  ...names: ReadonlyArray<string>
): ReturnType<typeof connector.configure> =>
  connector.configure(
    names.map((name) => ({
      name,
      json_schema: {
        type: "object",
        properties: {
          time: { type: "string", format: "date-time", airbyte_type: "timestamp_with_timezone" },
          value: { type: ["number", "null"] },
          special_value: { type: ["string", "null"] },
          series_id: { type: "string" },
          n: { type: ["string", "null"] },
          other_labels: { type: ["object", "null"] }
        }
      }
    })),
    mode
  )
