/** The keys of the connection: credentials, headers, parameters and proxies. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted } from "effect"
import { decodeConfig } from "../../src/config/ConnectorConfig.ts"

const SECRET = "s3cr3t"

const minimal = { base_url: "https://h", start_date: "2026-01-01" }

const settings = (given: object) => decodeConfig({ ...minimal, ...given })

/** What is wrong with a configuration: nothing of a secret is in it. */
const problemsOf = (given: object) =>
  Effect.map(Effect.flip(settings(given)), ({ message, problems = [] }) => {
    assert.notInclude(message, SECRET)
    return problems
  })

/** Accepts a configuration, without a warning. */
const accepts = (given: object) =>
  Effect.map(settings(given), (made) => {
    assert.deepStrictEqual(made.warnings, [])
    return made
  })

const authentication = {
  bearer_token: { auth_type: "bearer_token", token: SECRET },
  oauth2: { auth_type: "oauth2", token_url: "https://t/token", client_id: "c", client_secret: SECRET },
  aws_sigv4: { auth_type: "aws_sigv4", region: "eu-central-1" },
  google: { auth_type: "google" }
}

const basic = { basic_auth_user: "u", basic_auth_pass: SECRET }

describe("basic authentication", () => {
  it.effect("may have an empty password, if it is given", () =>
    Effect.gen(function* () {
      const made = yield* accepts({ basic_auth_user: "api-key", basic_auth_pass: "" })
      assert.deepStrictEqual(made.authentication, {
        auth_type: "basic",
        user: "api-key",
        password: Redacted.make("")
      })
    })
  )

  it.effect.each([{}, { auth_type: "" }, { auth_type: null, token: null }])(
    "is none in a form that was left empty: %j",
    (authentication) =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* accepts({ authentication })).authentication, { auth_type: "none" })
      })
  )

  it.effect.each([{}, { basic_auth_pass: null }])("needs a password that is given: %j", (given) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* problemsOf({ basic_auth_user: "u", ...given }), [
        'basic_auth_user is set without basic_auth_pass: basic authentication needs both. Set basic_auth_pass too, or remove basic_auth_user. If the password is empty, as where an API key is the user, set basic_auth_pass to "".'
      ])
    })
  )

  it.effect("is off where a form has two empty fields", () =>
    Effect.gen(function* () {
      for (const given of [
        { basic_auth_user: "", basic_auth_pass: "" },
        { basic_auth_user: null, basic_auth_pass: "" },
        { basic_auth_pass: "" }
      ]) {
        assert.deepStrictEqual((yield* accepts(given)).authentication, { auth_type: "none" })
      }
    })
  )

  it.effect("needs a user", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({ basic_auth_pass: SECRET })
      assert.lengthOf(problems, 1)
      assert.match(problems[0]!, /^basic_auth_pass is set without basic_auth_user: .* as a bearer token\.$/)
    })
  )

  it.effect("cannot send a user with a colon", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({ basic_auth_user: "a:b", basic_auth_pass: SECRET })
      assert.lengthOf(problems, 1)
      assert.match(problems[0]!, /^basic_auth_user contains a colon, but must not: /)
      yield* accepts({ basic_auth_user: "a b", basic_auth_pass: "a:b:c" })
    })
  )
})

describe("two methods at once", () => {
  it.effect.each(Object.entries(authentication))(
    "are refused: basic authentication and %s",
    ([name, method]) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* problemsOf({ ...basic, authentication: method }), [
          `basic_auth_user is set together with authentication (${name}), but a request can carry only one of them: remove basic_auth_user and basic_auth_pass, or set authentication.auth_type to none.`
        ])
        // Half of one and another one are two problems, but not three.
        assert.lengthOf(yield* problemsOf({ basic_auth_pass: SECRET, authentication: method }), 1)
        assert.lengthOf(yield* problemsOf({ basic_auth_user: "u", authentication: method }), 2)
      })
  )

  it.effect("are noticed where one of them is not complete", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({ ...basic, authentication: { auth_type: "bearer_token" } })
      assert.lengthOf(problems, 2)
      assert.match(problems[0]!, /^authentication\.token is missing/)
      assert.match(problems[1]!, /^basic_auth_user is set together with authentication \(bearer_token\)/)
    })
  )

  it.effect.each([...Object.entries(authentication), ["basic", undefined] as const])(
    "are refused: %s and a header Authorization",
    ([name, method]) =>
      Effect.gen(function* () {
        const setters =
          method === undefined ? "basic_auth_user and basic_auth_pass set" : `authentication (${name}) sets`
        for (const header of ["Authorization", "authorization", "AUTHORIZATION"]) {
          assert.deepStrictEqual(
            yield* problemsOf({
              ...(method === undefined ? basic : { authentication: method }),
              headers: [
                { name: "X-Scope-OrgID", value: "a" },
                { name: header, value: SECRET }
              ]
            }),
            [`headers[1].name is ${header}, which ${setters} too: remove one of them.`]
          )
        }
      })
  )

  it.effect("are refused: a signature and a header that it sets", () =>
    Effect.gen(function* () {
      for (const name of ["X-Amz-Date", "x-amz-security-token", "X-Amz-Content-Sha256"]) {
        const headers = [{ name, value: SECRET }]
        assert.deepStrictEqual(yield* problemsOf({ authentication: authentication.aws_sigv4, headers }), [
          `headers[0].name is ${name}, which authentication (aws_sigv4) sets too: remove one of them.`
        ])
        yield* accepts({ authentication: authentication.google, headers })
      }
    })
  )

  it.effect("do not include none", () =>
    Effect.gen(function* () {
      const none = { auth_type: "none" }
      assert.strictEqual((yield* accepts({ authentication: none })).authentication.auth_type, "none")
      assert.strictEqual(
        (yield* accepts({ ...basic, authentication: none })).authentication.auth_type,
        "basic"
      )
      yield* accepts({ authentication: none, headers: [{ name: "Authorization", value: SECRET }] })
    })
  )
})

describe("authentication", () => {
  it.effect.each(Object.entries(authentication))(
    "accepts %s, with null and empty text for what is optional",
    ([, method]) =>
      Effect.gen(function* () {
        const { authentication } = yield* accepts({ authentication: method })
        const empty = { scopes: null, audience: "", parameters: null, access_key_id: "", session_token: null }
        const filled = yield* settings({ authentication: { ...empty, ...method } })
        assert.deepStrictEqual(filled.authentication, authentication)
      })
  )

  it.effect.each([
    [
      { ...authentication.bearer_token, token: "" },
      "authentication.token is missing: it must be a single line of ASCII characters."
    ],
    [
      { ...authentication.oauth2, client_secret: null },
      "authentication.client_secret is missing: it must be text."
    ],
    [
      { ...authentication.aws_sigv4, region: "" },
      "authentication.region is missing: it must be the name of a region such as eu-central-1."
    ],
    [
      { auth_type: null, token: SECRET },
      'authentication.auth_type is missing: it must be "none" or "bearer_token" or "oauth2" or "aws_sigv4" or "google".'
    ],
    [
      { auth_type: "Bearer_Token", token: SECRET },
      'authentication.auth_type is "Bearer_Token", but must be "none" or "bearer_token" or "oauth2" or "aws_sigv4" or "google".'
    ]
  ] as const)("names what is missing: %j", ([method, problem]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* problemsOf({ authentication: method }), [problem])
    })
  )

  it.effect.each([
    [
      { access_key_id: "AKIA" },
      [
        /^authentication\.access_key_id is set without authentication\.secret_access_key: .* neither to use the credentials of the machine\.$/
      ]
    ],
    [
      { secret_access_key: SECRET },
      [/^authentication\.secret_access_key is set without authentication\.access_key_id: /]
    ],
    [
      { session_token: SECRET },
      [
        /^authentication\.session_token is set without authentication\.access_key_id: it belongs to a temporary access key/
      ]
    ],
    [
      { access_key_id: "AKIA", session_token: SECRET },
      [/^authentication\.access_key_id is set without authentication\.secret_access_key/]
    ],
    [{ external_id: "x" }, [/^authentication\.external_id is set without authentication\.role_arn: /]],
    [{ external_id: "x", access_key_id: "AKIA" }, [/access_key_id/, /external_id/]],
    [
      { access_key_id: "AKIA SECRET", secret_access_key: SECRET },
      [/^authentication\.access_key_id is "AKIA SECRET", but must be an access key ID such as/]
    ],
    [
      { region: "eu central" },
      [/^authentication\.region is "eu central", but must be the name of a region such as eu-central-1\.$/]
    ],
    [{ region: "eu-central-1\n" }, [/^authentication\.region is "eu-central-1\\n", but/]],
    [
      { service: "a/b" },
      [/^authentication\.service is "a\/b", but must be the name of a service such as aps\.$/]
    ],
    [
      { role_arn: "prometheus-reader" },
      [/^authentication\.role_arn is "prometheus-reader", but must be the ARN of a role/]
    ],
    [{ role_arn: "arn:aws:iam::123456789012:user/me" }, [/^authentication\.role_arn is /]],
    [
      { access_key_id: "AKIA", secret_access_key: SECRET, session_token: `${SECRET}\n` },
      [/^authentication\.session_token ends with a line feed, which is not allowed in an HTTP header/]
    ]
  ] as const)("refuses half of the keys of AWS, and what none can be: %j", ([given, expected]) =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({ authentication: { ...authentication.aws_sigv4, ...given } })
      assert.lengthOf(problems, expected.length)
      for (const [index, pattern] of expected.entries()) assert.match(problems[index]!, pattern)
    })
  )

  it.effect.each([
    { access_key_id: "AKIA", secret_access_key: SECRET },
    { access_key_id: "ASIA", secret_access_key: SECRET, session_token: "FwoG+/==" },
    { role_arn: "arn:aws:iam::123456789012:role/reader" },
    { role_arn: "arn:aws-us-gov:iam::123456789012:role/path/reader", external_id: "x" },
    { role_arn: "arn:aws-cn:iam::123456789012:role/a+b@c.d", region: "cn-north-1", service: "execute-api" }
  ])("accepts complete keys of AWS: %j", (given) =>
    accepts({ authentication: { ...authentication.aws_sigv4, ...given } })
  )

  it.effect.each([
    [
      `${SECRET}\n`,
      /^authentication\.token ends with a line feed, which is not allowed in an HTTP header \(its value is not shown\)\.$/
    ],
    [`${SECRET}\r\n`, /ends with a line feed/],
    [`${SECRET}\n${SECRET}`, /has characters that are not allowed in an HTTP header/],
    [`${SECRET}\u0000`, /has characters that are not allowed/],
    [`${SECRET}\u2026`, /has characters that are not allowed/],
    [`Bearer ${SECRET}`, /^authentication\.token must be the token alone, without the word Bearer before it/],
    [`authorization: bearer ${SECRET}`, /without the word Bearer/],
    [` Bearer\t${SECRET}`, /without the word Bearer/],
    [
      ` ${SECRET}`,
      /^authentication\.token begins or ends with a blank, which no token has \(its value is not shown\)/
    ],
    [`${SECRET} `, /begins or ends with a blank/],
    [`${SECRET} ${SECRET}`, /^authentication\.token contains a blank/],
    [`${SECRET}\t`, /has characters that are not allowed/],
    ["t\u00f6ken", /has characters that are not allowed/],
    ["x".repeat(16_385), /has 16385 characters, but must have at most 16384/]
  ] as const)("refuses a token that no header can have: %j", ([token, expected]) =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({ authentication: { auth_type: "bearer_token", token } })
      assert.lengthOf(problems, 1)
      assert.match(problems[0]!, expected)
      assert.notInclude(problems[0], SECRET)
    })
  )

  it.effect.each(["eyJhbGciOi.J9.x-_~+/==", "glsa_abc", "x".repeat(16_384)])(
    "accepts the token %s",
    (token) => accepts({ authentication: { auth_type: "bearer_token", token } })
  )

  it.effect.each([
    [
      { parameters: [{ name: "grant_type", value: "password" }] },
      /^authentication\.parameters\[0\]\.name is grant_type, which is client_credentials for this method: remove it\.$/
    ],
    [
      {
        parameters: [
          { name: "resource", value: "r" },
          { name: "scope", value: "s" }
        ]
      },
      /^authentication\.parameters\[1\]\.name is scope, which authentication\.scopes sets: remove it\.$/
    ],
    [
      { parameters: [{ name: "client_secret", value: SECRET }] },
      /which authentication\.client_secret sets: remove it/
    ],
    [
      { parameters: [{ name: "", value: SECRET }] },
      /^authentication\.parameters\[0\]\.name must not be empty\.$/
    ],
    [
      { parameters: [{ name: "resource" }] },
      /^authentication\.parameters\[0\]\.value is missing: it must be text\.$/
    ],
    [{ scopes: ["a", " "] }, /^authentication\.scopes must not contain an empty text\.$/],
    [{ scopes: "a b" }, /^authentication\.scopes is "a b", but must be a list of texts such as/],
    [
      { token_url: "login.example.com/token" },
      /^authentication\.token_url is "login.example.com\/token", but must be an http or https URL/
    ],
    [{ token_url: "https://t/token#x" }, /^authentication\.token_url is "https:\/\/t\/token#\*\*\*", but/],
    [
      { token_url: `https://u:${SECRET}@t/token` },
      /^authentication\.token_url is "\*\*\*@t\/token", but must not contain a user or password/
    ],
    [
      { client_secret_in: "query" },
      /^authentication\.client_secret_in is "query", but must be "header" or "body"\.$/
    ]
  ] as const)("refuses what no OAuth 2.0 server can be sent: %j", ([given, expected]) =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({ authentication: { ...authentication.oauth2, ...given } })
      assert.lengthOf(problems, 1)
      assert.match(problems[0]!, expected)
    })
  )

  it.effect("warns of unknown keys of a method, and of those of another one", () =>
    Effect.gen(function* () {
      const { warnings } = yield* settings({
        authentication: { ...authentication.bearer_token, region: "r", Token: SECRET }
      })
      assert.deepStrictEqual(warnings, [
        "Unknown configuration keys are ignored: authentication.region, authentication.Token."
      ])
    })
  )
})

describe("parameters", () => {
  it.effect.each(["query", "start", "end", "time", "step", "match[]", "limit", "lookback_delta"])(
    "refuse %s by its name",
    (name) =>
      Effect.gen(function* () {
        const problems = yield* problemsOf({
          parameters: [
            { name: "namespace", value: "a" },
            { name, value: SECRET }
          ]
        })
        assert.lengthOf(problems, 1)
        assert.isTrue(problems[0]!.startsWith(`parameters[1].name is ${name}, which `), problems[0])
        assert.match(problems[0]!, /Remove it\.$/)
      })
  )

  it.effect("need a name, and are limited together", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* problemsOf({ parameters: [{ name: "", value: SECRET }] }), [
        "parameters[0].name must not be empty."
      ])
      const long = { name: "a", value: "x".repeat(9000) }
      const [problem] = yield* problemsOf({ parameters: [long, long] })
      assert.match(problem!, /^parameters have 18002 characters together, but must have at most 16384/)
      yield* accepts({ parameters: [long] })
    })
  )

  it.effect("may be repeated, may be empty, and may replace those that say how a server reads", () =>
    Effect.gen(function* () {
      const parameters = [
        ["extra_filters[]", '{env="prod"}'],
        ["extra_filters[]", '{env="test"}'],
        ["Query", "x"],
        ["dedup", "false"],
        ["partial_response", "true"],
        ["flag", ""]
      ].map(([name, value]) => ({ name, value }))
      const made = yield* accepts({ parameters })
      assert.deepStrictEqual(
        made.parameters.map(({ name, value }) => ({ name, value: Redacted.value(value) })),
        parameters as never
      )
    })
  )
})

describe("headers", () => {
  it.effect("are limited together", () =>
    Effect.gen(function* () {
      const headers = ["A", "B"].map((name) => ({ name, value: "x".repeat(9000) }))
      assert.deepStrictEqual(yield* problemsOf({ headers }), [
        "the values of headers have 18000 characters together, but must have at most 16384, because servers refuse more."
      ])
      yield* accepts({ headers: headers.slice(1) })
    })
  )
})

describe("proxy_url", () => {
  it.effect.each([
    "http://proxy.example.com:3128",
    "https://proxy.example.com",
    "http://user:password@proxy:3128/",
    "http://user@proxy",
    "http://us%40er:p%3Aass@[::1]:3128",
    " http://proxy:3128 "
  ])("accepts %s", (proxy_url) =>
    Effect.gen(function* () {
      const made = yield* accepts({ proxy_url })
      assert.strictEqual(Redacted.value(Option.getOrThrow(made.proxyUrl)), proxy_url)
    })
  )

  it.effect.each([
    `${SECRET}:3128`,
    `proxy:3128`,
    `socks5://${SECRET}:3128`,
    `http://proxy:3128/${SECRET}`,
    `http://proxy:3128?${SECRET}`,
    `http://proxy:3128/#${SECRET}`,
    `http://user:${SECRET}%zz@proxy:3128`,
    `http://user:${SECRET}@`,
    "http://"
  ])("refuses %s without showing it", (proxy_url) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* problemsOf({ proxy_url }), [
        "proxy_url must be the http or https URL of a proxy, such as http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128 (its value is not shown)."
      ])
    })
  )
})
