import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted, Schema } from "effect"
import { ConfigError, ConnectorConfig, decodeConfig } from "../../src/config/ConnectorConfig.ts"
import { keys } from "../../src/config/keys.ts"
import { redactedIn } from "../../src/config/SecretMask.ts"
import { longText, runs } from "../support/runs.ts"

const minimal = { base_url: "http://localhost:9090", start_date: "2026-01-01", step: 60 }

const settings = (given: Readonly<Record<string, unknown>> = {}) => decodeConfig({ ...minimal, ...given })

/** The error for a configuration. */
const refusal = (given: Readonly<Record<string, unknown>>) =>
  Effect.map(Effect.flip(settings(given)), (error) => {
    assert.instanceOf(error, ConfigError)
    return error.message
  })

/** Secrets of a message, marked so that no test needs to list what may not occur. */
const SECRET = "s3cr3t"

describe("decodeConfig", () => {
  it.effect("has a default for every optional key", () =>
    Effect.gen(function* () {
      const { metrics, ...others } = yield* decodeConfig({
        base_url: "http://localhost:9090",
        start_date: "2026-01-01"
      })
      assert.deepStrictEqual(others, {
        baseUrl: "http://localhost:9090",
        authentication: { auth_type: "none" },
        tls: { verify: true },
        proxyUrl: Option.none(),
        headers: [],
        parameters: [],
        startMillis: 1_767_225_600_000,
        endMillis: Option.none(),
        stepSeconds: 3600,
        sampling: "step",
        matchers: [],
        queries: [],
        groups: [],
        overrides: [],
        tables: [],
        labelColumns: true,
        excludedLabels: new Set<string>(),
        lookbackMillis: 0,
        settleDelayMillis: 60_000,
        api: "auto",
        concurrency: 4,
        maxRequestsPerSecond: undefined,
        maxSamplesPerSecond: undefined,
        requestTimeoutMillis: 120_000,
        maxRetries: 5,
        compression: "none",
        partialData: "fail",
        damagedData: "fail",
        maxSourceResolution: "raw",
        warnings: []
      })
      assert.deepStrictEqual(metrics, { include: [], exclude: [] })
    })
  )

  it.effect("accepts every key", () =>
    Effect.gen(function* () {
      const result = yield* decodeConfig({
        base_url: "https://example.com/prometheus/",
        basic_auth_user: "user",
        basic_auth_pass: SECRET,
        start_date: "2026-01-01T12:00:00Z",
        step: "1h30m",
        end_date: "2026-02-01",
        metrics: { include: ["node_*"], exclude: ["node_a|node_b"] },
        selector: 'env="prod"',
        label_columns: false,
        exclude_labels: ["user_email", "client_ip"],
        lookback_window: "1d",
        settle_delay: "5m",
        headers: [{ name: "X-Scope-OrgID", value: "tenant" }],
        concurrency: 8,
        max_requests_per_second: 0.5,
        max_samples_per_second: "20000",
        request_timeout: 30,
        max_retries: 0,
        compression: "gzip"
      })
      assert.strictEqual(result.baseUrl, "https://example.com/prometheus")
      assert.deepStrictEqual(result.authentication, {
        auth_type: "basic",
        user: "user",
        password: Redacted.make(SECRET)
      })
      assert.strictEqual(result.startMillis, Date.UTC(2026, 0, 1, 12))
      assert.strictEqual(result.stepSeconds, 5400)
      assert.deepStrictEqual(result.endMillis, Option.some(Date.UTC(2026, 1, 1)))
      assert.isTrue(result.metrics.include[0]?.test("node_cpu"))
      assert.isTrue(result.metrics.exclude[0]?.test("node_b"))
      assert.deepStrictEqual(result.matchers, [{ label: "env", operator: "=", value: "prod" }])
      assert.isFalse(result.labelColumns)
      assert.deepStrictEqual([...result.excludedLabels], ["user_email", "client_ip"])
      assert.strictEqual(result.lookbackMillis, 86_400_000)
      assert.strictEqual(result.settleDelayMillis, 300_000)
      assert.deepStrictEqual(
        result.headers.map(({ name, value }) => [name, Redacted.value(value)]),
        [["X-Scope-OrgID", "tenant"]]
      )
      assert.strictEqual(result.concurrency, 8)
      assert.strictEqual(result.maxRequestsPerSecond, 0.5)
      assert.strictEqual(result.maxSamplesPerSecond, 20_000)
      assert.strictEqual(result.requestTimeoutMillis, 30_000)
      assert.strictEqual(result.maxRetries, 0)
      assert.strictEqual(result.compression, "gzip")
      assert.deepStrictEqual(redactedIn(result), [SECRET, "tenant"])
      assert.deepStrictEqual(result.warnings, [])
      assert.notInclude(JSON.stringify(result), SECRET)
      assert.notInclude(JSON.stringify(result), "tenant")
    })
  )

  it.effect("treats null as missing, for every optional key", () =>
    Effect.gen(function* () {
      const nulls = Object.fromEntries(
        Object.keys(keys).flatMap((key) => (key === "base_url" || key === "start_date" ? [] : [[key, null]]))
      )
      const given = { base_url: minimal.base_url, start_date: minimal.start_date }
      assert.deepStrictEqual(yield* decodeConfig({ ...given, ...nulls }), yield* decodeConfig(given))
      assert.deepStrictEqual(
        yield* decodeConfig({ ...given, metrics: { include: null, exclude: null }, unknown: null }),
        yield* decodeConfig(given)
      )
    })
  )

  it.effect("treats undefined as missing, as programs may pass it", () =>
    Effect.gen(function* () {
      const absent = { end_date: undefined, selector: undefined, step: undefined, headers: undefined }
      const { step: _, ...given } = minimal
      assert.deepStrictEqual(yield* decodeConfig({ ...given, ...absent }), yield* decodeConfig(given))
    })
  )

  it.effect.each(["basic_auth_user", "basic_auth_pass", "selector", "end_date"])(
    "treats an empty string as missing: %s",
    (key) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* settings({ [key]: "" }), yield* settings())
      })
  )

  it.effect.each([
    "http://localhost:9090",
    "https://prometheus.example.com",
    "https://example.com/a/b%20c/d",
    "http://127.0.0.1",
    "http://[::1]:9090",
    "HTTPS://EXAMPLE.COM",
    "https://bücher.example"
  ])("takes the base_url %s, with or without slashes and space around", (base_url) =>
    Effect.gen(function* () {
      for (const given of [base_url, `${base_url}/`, `${base_url}//`, ` ${base_url}\n`]) {
        assert.strictEqual((yield* settings({ base_url: given })).baseUrl, base_url)
      }
    })
  )

  it.effect.each([
    "localhost",
    "localhost:9090",
    "prometheus.example.com",
    "/prometheus",
    " ",
    "http://",
    "http://a b",
    "http://a:99999",
    "ftp://example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://example.com?x=1",
    "https://example.com/?x=1",
    "https://example.com/?",
    "https://example.com/#x",
    "https://example.com/#",
    "https://example.com/prometheus?"
  ])("refuses the base_url %j", (base_url) =>
    Effect.gen(function* () {
      // A query or a fragment may contain a token.
      const shown = base_url.replace(/([?#])x.*$/, "$1***")
      assert.strictEqual(
        yield* refusal({ base_url }),
        `The configuration is not valid. base_url is ${JSON.stringify(shown)}, but must be ${keys.base_url.accepted}.`
      )
    })
  )

  it.effect.each([
    `https://user:${SECRET}@example.com`,
    `https://${SECRET}@example.com`,
    `https://:${SECRET}@example.com/path`,
    `HTTPS://user:${SECRET}@example.com`,
    `https://user:a${SECRET}@b${SECRET}@example.com`,
    `ftp://user:${SECRET}@example.com`,
    `https://user:${SECRET}@example.com?x`,
    `https://user:${SECRET}@`,
    `https://user:a/${SECRET}@example.com`,
    `https://user:a?${SECRET}@example.com`,
    `https://user:a#${SECRET}@example.com`,
    `https:user:${SECRET}@example.com`,
    `https:/user:${SECRET}@example.com`,
    `https:\\\\user:${SECRET}@example.com`,
    `https:/\\user:${SECRET}@example.com`,
    `user:${SECRET}@example.com`,
    `//user:${SECRET}@example.com`
  ])("refuses credentials in the base_url without showing them: %s", (base_url) =>
    Effect.gen(function* () {
      const message = yield* refusal({ base_url })
      assert.include(message, "base_url")
      assert.notInclude(message, SECRET)
    })
  )

  it.effect("says which keys to use instead of credentials in base_url", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* refusal({ base_url: `https://user:${SECRET}@example.com/p` }),
        'The configuration is not valid. base_url is "***@example.com/p", but must not contain a user or password: set basic_auth_user and basic_auth_pass.'
      )
    })
  )

  it.effect("requires both user and password, or neither", () =>
    Effect.gen(function* () {
      assert.match(
        yield* refusal({ basic_auth_user: "u" }),
        /basic_auth_user is set without basic_auth_pass: .* both/
      )
      const message = yield* refusal({ basic_auth_pass: SECRET, basic_auth_user: "" })
      assert.match(message, /basic_auth_pass is set without basic_auth_user: .* both/)
      assert.notInclude(message, SECRET)
    })
  )

  it.effect.each([
    ["start_date", "2026-02-30"],
    ["start_date", "2023-02-29"],
    ["start_date", "2026-01-01T24:00:00Z"],
    ["start_date", "1969-12-31"],
    ["start_date", "yesterday"],
    ["start_date", 20260101],
    ["end_date", "2026-02-30"],
    ["end_date", "2027-02-29"],
    ["end_date", true],
    ["step", 0],
    ["step", -1],
    ["step", 1.5],
    ["step", "1.5h"],
    ["step", "every hour"],
    ["step", true],
    ["lookback_window", -1],
    ["settle_delay", "x"],
    ["request_timeout", 0],
    ["concurrency", 0],
    ["concurrency", 65],
    ["concurrency", "4"],
    ["max_retries", -1],
    ["max_retries", 21],
    ["compression", "zstd"],
    ["label_columns", "yes"],
    ["selector", 1],
    ["exclude_labels", "a"],
    ["base_url", 1],
    ["basic_auth_user", 1]
  ] as const)("names the key, what was given and what is accepted: %s %j", ([key, value]) =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* refusal({ [key]: value }),
        `The configuration is not valid. ${key} is ${JSON.stringify(value)}, but must be ${keys[key].accepted}.`
      )
    })
  )

  it.effect.each([
    ["step", 315_360_001, /315360000/],
    ["lookback_window", 315_360_001, /315360000/],
    ["start_date", "1969-12-31", /1970/]
  ] as const)("names the limit that was passed: %s %j", ([key, value, limit]) =>
    Effect.gen(function* () {
      assert.match(yield* refusal({ [key]: value }), limit)
    })
  )

  it.effect.each(["base_url", "start_date"] as const)("says that %s is missing", (key) =>
    Effect.gen(function* () {
      const { [key]: _, ...others } = minimal
      for (const given of [others, { ...others, [key]: null }]) {
        assert.strictEqual(
          (yield* Effect.flip(decodeConfig(given))).message,
          `The configuration is not valid. ${key} is missing: it must be ${keys[key].accepted}.`
        )
      }
    })
  )

  it.effect("refuses an end before the start", () =>
    Effect.gen(function* () {
      assert.include(
        yield* refusal({ start_date: "2026-01-02", end_date: "2026-01-01T23:59:59Z" }),
        "end_date is 2026-01-01T23:59:59Z, but must not be before start_date 2026-01-02."
      )
      const same = yield* settings({ end_date: "2026-01-01T00:00:00Z" })
      assert.deepStrictEqual(same.endMillis, Option.some(same.startMillis))
    })
  )

  it.effect("accepts leap days", () =>
    Effect.gen(function* () {
      const leap = yield* settings({ start_date: "2024-02-29", end_date: "2028-02-29T12:00:00Z" })
      assert.strictEqual(leap.startMillis, Date.UTC(2024, 1, 29))
      assert.deepStrictEqual(leap.endMillis, Option.some(Date.UTC(2028, 1, 29, 12)))
    })
  )

  it.effect("refuses invalid regular expressions, and names their position", () =>
    Effect.gen(function* () {
      const message = yield* refusal({ metrics: { include: ["a*", "(b"], exclude: ["[c"] } })
      assert.include(
        message,
        'metrics.include: "(b" is not a regular expression of RE2, the language of Prometheus.'
      )
      assert.include(
        message,
        'metrics.exclude: "[c" is not a regular expression of RE2, the language of Prometheus.'
      )
    })
  )

  it.effect("refuses an invalid selector, and one that names a metric", () =>
    Effect.gen(function* () {
      assert.include(
        yield* refusal({ selector: '{env="prod"' }),
        `selector must be ${keys.selector.accepted}: expected "," or "}" (at character 12 of {env="prod")`
      )
      for (const selector of ['{__name__="up"}', '{"up"}']) {
        assert.match(yield* refusal({ selector }), /selector must not name a metric.*metrics\.include/)
      }
      assert.lengthOf((yield* settings({ selector: '{__name__=~"a.*",__name__!="ab"}' })).matchers, 2)
    })
  )

  it.effect("refuses to exclude the name of the metric, or a label without a name", () =>
    Effect.gen(function* () {
      const message = yield* refusal({ exclude_labels: ["a", "__name__", ""] })
      assert.include(
        message,
        "exclude_labels must not contain __name__, the name of the metric: use metrics.exclude."
      )
      assert.include(message, "exclude_labels must not contain an empty name.")
    })
  )

  it.effect("warns about patterns in exclude_labels, because they exclude nothing", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* settings({ exclude_labels: ["user_*", "_a1"] })).warnings, [
        'exclude_labels contains "user_*", which is taken as a label name and not as a pattern.'
      ])
    })
  )

  it.effect.each(["", "a b", "a:b", "é", "a\r\nb", "(a)"])("refuses the header name %j", (name) =>
    Effect.gen(function* () {
      const message = yield* refusal({
        headers: [
          { name: "ok", value: "x" },
          { name, value: SECRET }
        ]
      })
      assert.include(message, "headers[1].name is not a valid HTTP header name: use letters, digits and -")
      assert.notInclude(message, SECRET)
    })
  )

  it.effect.each([
    "Trailer",
    "TE",
    "upgrade",
    "EXPECT",
    "Host",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "HTTP2-Settings",
    "Transfer-Encoding",
    "Content-Length",
    "Content-Type",
    "Content-Encoding",
    "Accept-Encoding",
    "Range",
    "If-None-Match"
  ])("refuses the header %s by its name, since it would break the request", (name) =>
    Effect.gen(function* () {
      const message = yield* refusal({ headers: [{ name, value: SECRET }] })
      assert.match(message, new RegExp(`headers\\[0\\]\\.name is ${name}, which .*: remove it\\.$`))
      assert.notInclude(message, SECRET)
    })
  )

  it.effect("accepts the headers that proxies and servers need", () =>
    Effect.gen(function* () {
      const headers = ["Cookie", "Proxy-Authorization", "X-Scope-OrgID", "User-Agent", "Accept"].map(
        (name) => ({
          name,
          value: "x"
        })
      )
      assert.lengthOf((yield* settings({ headers })).headers, headers.length)
    })
  )

  it.effect("refuses a repeated header, ignoring case, and Authorization with basic authentication", () =>
    Effect.gen(function* () {
      const message = yield* refusal({
        headers: [
          { name: "X-Scope-OrgID", value: "a" },
          { name: "authorization", value: "Bearer b" },
          { name: "x-scope-orgid", value: "c" }
        ],
        basic_auth_user: "u",
        basic_auth_pass: "p"
      })
      assert.include(message, "headers[2].name is the same as headers[0].name: remove one of them.")
      assert.include(
        message,
        "headers[1].name is authorization, which basic_auth_user and basic_auth_pass set too"
      )
    })
  )

  it.effect.each([`${SECRET}\r\nx: y`, `${SECRET}\u0000`, `${SECRET}\u007f`, `${SECRET}漢`])(
    "refuses the header value %j without showing it",
    (value) =>
      Effect.gen(function* () {
        const message = yield* refusal({ headers: [{ name: "x", value }] })
        assert.include(message, "headers[0].value has characters that are not allowed in an HTTP header")
        assert.notInclude(message, SECRET)
      })
  )

  it.effect(
    "says of a header value and of a password that they end with a line feed, without showing them",
    () =>
      Effect.gen(function* () {
        for (const end of ["\n", "\r\n"]) {
          const message = yield* refusal({ headers: [{ name: "x", value: SECRET + end }] })
          assert.include(
            message,
            "headers[0].value ends with a line feed, which is not allowed in an HTTP header"
          )
          const { warnings } = yield* decodeConfig({
            base_url: "http://x",
            start_date: "2026-01-01",
            basic_auth_user: "u",
            basic_auth_pass: SECRET + end
          })
          assert.lengthOf(warnings, 1)
          assert.match(warnings[0]!, /^basic_auth_pass ends with a line feed, which is sent as a part of it/)
          assert.notInclude(message + warnings[0], SECRET)
        }
      })
  )

  it.effect("refuses a value that is too long for a header, such as the wrong file, without showing it", () =>
    Effect.gen(function* () {
      const long = SECRET.padEnd(16_385, "x")
      const password = yield* refusal({ basic_auth_user: "u", basic_auth_pass: long })
      assert.include(password, "basic_auth_pass has 16385 characters, but must have at most 16384")
      const header = yield* refusal({ headers: [{ name: "x", value: long }] })
      assert.include(header, "headers[0].value has 16385 characters, but must have at most 16384")
      assert.notInclude(password + header, SECRET)
      const fits = long.slice(1)
      const settings = yield* decodeConfig({
        ...minimal,
        basic_auth_user: "u",
        basic_auth_pass: fits,
        headers: [{ name: "x", value: fits }]
      })
      assert.deepStrictEqual(redactedIn(settings), [fits, fits])
    })
  )

  it.effect.each([
    ["basic_auth_pass", 1],
    ["basic_auth_pass", [SECRET]],
    ["basic_auth_pass", { password: SECRET }],
    ["headers", SECRET],
    ["headers", { authorization: SECRET }],
    ["headers", [SECRET]],
    ["headers", [null]],
    ["authentication", SECRET],
    ["authentication", [SECRET]],
    ["tls", SECRET],
    ["proxy_url", [SECRET]]
  ] as const)("never shows a secret of the wrong type: %s %j", ([key, value]) =>
    Effect.gen(function* () {
      const message = yield* refusal({ [key]: value })
      assert.strictEqual(
        message,
        `The configuration is not valid. ${key} is not of the right type (its value is not shown), but must be ${keys[key].accepted}.`
      )
    })
  )

  it.effect.each([
    [
      "headers",
      [{ name: "x", value: { secret: SECRET } }],
      "headers[0].value is not of the right type (its value is not shown), but must be text."
    ],
    ["headers", [{ name: SECRET }], "headers[0].value is missing: it must be text."],
    [
      "headers",
      [
        { name: "x", value: SECRET },
        { name: ["y"], value: null }
      ],
      "headers[1].name is a list (its content is not shown), but must be text. headers[1].value is not of the right type (its value is not shown), but must be text."
    ],
    [
      "authentication",
      { auth_type: "bearer_token", token: [SECRET] },
      "authentication.token is not of the right type (its value is not shown), but must be a single line of ASCII characters."
    ],
    [
      "authentication",
      { auth_type: "bearer_token", Token: SECRET },
      "authentication.token is missing: it must be a single line of ASCII characters."
    ],
    [
      "authentication",
      { auth_type: "bearer", token: SECRET },
      'authentication.auth_type is "bearer", but must be "none" or "bearer_token" or "oauth2" or "aws_sigv4" or "google".'
    ],
    [
      "authentication",
      { token: SECRET },
      'authentication.auth_type is missing: it must be "none" or "bearer_token" or "oauth2" or "aws_sigv4" or "google".'
    ],
    [
      "authentication",
      { auth_type: { bearer_token: SECRET } },
      'authentication.auth_type is an object (its content is not shown), but must be "none" or "bearer_token" or "oauth2" or "aws_sigv4" or "google".'
    ],
    [
      "tls",
      { client_key: [SECRET], verify: "no" },
      'tls.client_key is not of the right type (its value is not shown), but must be text. tls.verify is "no", but must be true or false.'
    ]
  ] as const)("names the inner key that is wrong, without its secret: %s %j", ([key, value, problems]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* refusal({ [key]: value }), `The configuration is not valid. ${problems}`)
    })
  )

  it.effect("reports some problems of a list, and counts on no item of it", () =>
    Effect.gen(function* () {
      const wrong = Array.from({ length: 100 }, () => ({ name: 1, value: SECRET }))
      const message = yield* refusal({ headers: [{ name: "Host", value: "x" }, ...wrong] })
      assert.match(message, /headers\[1\]\.name is 1, .* headers\[5\]\.name is 1, but must be text\.$/)
      assert.notInclude(message, "Host")
    })
  )

  it.effect.each([
    ...Object.keys(keys).flatMap((key) =>
      [[SECRET], { password: SECRET }, { [SECRET]: 1 }, [[{ a: [SECRET] }]]].map(
        (value) => [key, value] as const
      )
    )
  ])("never quotes what is in a list or an object: %s %j", ([key, value]) =>
    Effect.gen(function* () {
      const { message, warnings = [] } = yield* settings({ [key]: value }).pipe(
        Effect.map(({ warnings }) => ({ message: "", warnings })),
        Effect.catch(({ message }) => Effect.succeed({ message, warnings: [] }))
      )
      // The names of unknown keys, and of labels that look like patterns, are quoted.
      if (warnings.length === 0 && key !== "exclude_labels") assert.notInclude(message, SECRET)
      if (key === "base_url") {
        assert.strictEqual(
          message,
          `The configuration is not valid. base_url is ${Array.isArray(value) ? "a list" : "an object"} (its content is not shown), but must be ${keys.base_url.accepted}.`
        )
      }
    })
  )

  it.effect("never shows a secret when it reports other problems", () =>
    Effect.gen(function* () {
      const secrets = {
        basic_auth_user: "u",
        basic_auth_pass: SECRET,
        headers: [{ name: "a", value: SECRET }]
      }
      for (const wrong of [
        { step: 0 },
        { base_url: "x" },
        { start_date: "x" },
        { selector: "{" },
        { metrics: { include: ["("] } },
        { basic_auth_user: "" }
      ]) {
        assert.notInclude(yield* refusal({ ...secrets, ...wrong }), SECRET)
      }
      assert.notInclude(JSON.stringify((yield* settings({ ...secrets, [SECRET]: SECRET })).headers), SECRET)
    })
  )

  it.effect("reports all problems at once", () =>
    Effect.gen(function* () {
      const message = (yield* Effect.flip(
        decodeConfig({ start_date: "x", step: 0, concurrency: 0, headers: 1, metrics: 1 })
      )).message
      for (const key of ["base_url", "start_date", "step", "concurrency", "headers", "metrics"]) {
        assert.match(message, new RegExp(`\\b${key} is `))
      }
    })
  )

  it.effect("reports all problems between keys at once", () =>
    Effect.gen(function* () {
      const message = yield* refusal({
        base_url: "ftp://x",
        basic_auth_user: "u",
        start_date: "1969-01-01",
        end_date: "1968-01-01",
        metrics: { include: ["("] },
        selector: "{",
        headers: [{ name: " ", value: "" }]
      })
      for (const what of [
        "base_url is",
        "basic_auth_user is",
        "start_date is",
        "end_date is",
        "metrics.include:",
        "selector must",
        "headers[0].name is"
      ]) {
        assert.include(message, what)
      }
    })
  )

  it.effect("reports the problems of single keys and those between keys at once", () =>
    Effect.gen(function* () {
      const message = yield* refusal({ step: 0, base_url: "ftp://x", selector: "{", basic_auth_user: "u" })
      for (const what of ["step is", "base_url is", "selector must", "basic_auth_user is set without"]) {
        assert.include(message, what)
      }
    })
  )

  it.effect("warns about unknown keys, without their values", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* settings({ basicauth: SECRET })).warnings, [
        "Unknown configuration key is ignored: basicauth."
      ])
      assert.deepStrictEqual((yield* settings({ a: 1, __proto: {}, toString: 2 })).warnings, [
        "Unknown configuration keys are ignored: a, __proto, toString."
      ])
    })
  )

  it.effect.each([
    [{ metrics: { includes: ["node_*"] } }, "includes"],
    [{ headers: [{ name: "a", value: "b", vaule: SECRET }] }, "vaule"]
  ] as const)("warns of keys within others that it does not know: %j", ([given, key]) =>
    Effect.gen(function* () {
      const { warnings } = yield* settings(given)
      assert.lengthOf(warnings, 1)
      assert.include(warnings[0], key)
      assert.notInclude(warnings[0], SECRET)
    })
  )

  it.effect("counts unknown keys if there are many, and truncates long ones", () =>
    Effect.gen(function* () {
      const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]))
      const [warning] = (yield* settings({ ["x".repeat(1_000_000)]: 1, ...many })).warnings
      assert.match(warning ?? "", /^Unknown configuration keys are ignored: x+…, k0, .* and 99981 more\.$/)
      assert.isBelow(warning!.length, 500)
    })
  )

  it.effect("treats keys named like members of Object.prototype as unknown", () =>
    Effect.gen(function* () {
      const given = JSON.parse(
        `{"__proto__": {"step": 1}, "constructor": 1, "metrics": {"__proto__": 1, "include": []}, ${JSON.stringify(minimal).slice(1)}`
      )
      const made = yield* decodeConfig(given)
      assert.strictEqual(made.stepSeconds, 60)
      assert.deepStrictEqual(made.warnings, [
        "Unknown configuration keys are ignored: __proto__, constructor, metrics.__proto__."
      ])
      assert.strictEqual(({} as { readonly step?: unknown }).step, undefined)
    })
  )

  it.effect("reports a value that is nested too deeply", () =>
    Effect.gen(function* () {
      let deep: unknown = 1
      for (let i = 0; i < 100_000; i++) deep = i % 2 === 0 ? [deep] : { a: deep }
      for (const key of [...Object.keys(keys), "unknown"]) {
        assert.match(
          yield* refusal({ [key]: deep }),
          /^The configuration is nested too deeply: at most 100 levels .*\.$/
        )
      }
    })
  )

  it.effect(
    "handles very long strings in every key",
    () =>
      Effect.gen(function* () {
        for (const unit of ["/", "1", "1s", "{", '"', "\\", " ", "a=", "@", "?"]) {
          const long = unit.repeat(longText / unit.length)
          for (const key of Object.keys(keys)) {
            for (const value of [
              long,
              `http://h/${long}x`,
              [long],
              [{ name: long, value: long }],
              { include: [long] }
            ]) {
              const result = yield* Effect.result(settings({ [key]: value }))
              if (result._tag === "Failure") assert.isBelow(result.failure.message.length, 2000)
            }
          }
        }
      }),
    60_000
  )

  it.effect.each([null, undefined, [], [minimal], "{}", 1, true])("refuses %j, which is no object", (input) =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(decodeConfig(input))
      assert.strictEqual(
        message,
        "The configuration must be a JSON object with at least base_url and start_date."
      )
    })
  )

  it.effect.prop(
    "fails with nothing but a ConfigError",
    [Schema.Json, Schema.Json, Schema.Json],
    ([a, b, c]) =>
      Effect.gen(function* () {
        for (const key of Object.keys(keys)) {
          yield* Effect.ignore(settings({ [key]: a }))
          yield* Effect.ignore(settings({ [key]: { include: b, name: c } }))
          yield* Effect.ignore(settings({ [key]: [a, b, { name: b, value: c }] }))
        }
        yield* Effect.ignore(decodeConfig(a))
      }),
    { arbitrary: { runs: runs(30, 100) }, timeout: 60_000 }
  )

  it.effect("truncates long values", () =>
    Effect.gen(function* () {
      assert.isBelow((yield* refusal({ start_date: "x".repeat(100_000) })).length, 600)
    })
  )
})

describe("layerFrom", () => {
  it.effect("provides the service", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ConnectorConfig).stepSeconds, 60)
    }).pipe(Effect.provide(ConnectorConfig.layerFrom(minimal)))
  )

  it.effect("fails with the problems", () =>
    Effect.gen(function* () {
      const error = yield* ConnectorConfig.pipe(
        Effect.provide(ConnectorConfig.layerFrom({ ...minimal, step: 0 })),
        Effect.flip
      )
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, "step is 0")
    })
  )
})

describe("ConnectorConfig.layer", () => {
  it.effect("accepts a typed configuration, and validates it too", () =>
    Effect.gen(function* () {
      const config = { base_url: "http://h", start_date: "2026-01-01", step: "5m" }
      assert.strictEqual(
        (yield* Effect.provide(ConnectorConfig, ConnectorConfig.layer(config))).stepSeconds,
        300
      )
      const wrong = ConnectorConfig.layer({ ...config, start_date: "yesterday" })
      const error = yield* Effect.flip(Effect.provide(ConnectorConfig, wrong))
      assert.match(error.message, /start_date is "yesterday"/)
    })
  )
})
