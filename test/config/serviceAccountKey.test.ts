import { generateKeyPairSync } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { decodeConfig } from "../../src/config/ConnectorConfig.ts"

const pem = (type: "rsa" | "ec"): string =>
  type === "rsa"
    ? generateKeyPairSync("rsa", {
        modulusLength: 2048,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs8", format: "pem" }
      }).privateKey
    : generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }) +
      ""

const key = {
  type: "service_account",
  project_id: "project-s3cr3t",
  private_key_id: "s3cr3t",
  private_key: pem("rsa"),
  client_email: "s3cr3t@project.iam.gserviceaccount.com",
  token_uri: "https://oauth2.googleapis.com/token",
  universe_domain: "googleapis.com"
}

const decode = (service_account_key: unknown) =>
  decodeConfig({
    base_url: "https://monitoring.googleapis.com/v1/projects/p/location/global/prometheus",
    start_date: "2026-01-01",
    authentication: { auth_type: "google", service_account_key }
  })

describe("the key of a service account", () => {
  for (const [name, text] of [
    ["as Google issues it", JSON.stringify(key, null, 2)],
    ["with white space and a byte order mark", `\uFEFF\n${JSON.stringify(key)}\n`],
    [
      "without what is optional",
      JSON.stringify({ ...key, token_uri: undefined, universe_domain: undefined })
    ],
    [
      "with the carriage returns of Windows",
      JSON.stringify({ ...key, private_key: key.private_key.replaceAll("\n", "\r\n") })
    ]
  ] as const) {
    it.effect(`is accepted ${name}`, () =>
      Effect.gen(function* () {
        const { authentication, warnings } = yield* decode(text)
        assert.strictEqual(authentication.auth_type, "google")
        assert.deepStrictEqual(warnings, [])
      })
    )
  }

  const encrypted = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "s3cr3t" }
  }).privateKey

  const wrong: ReadonlyArray<readonly [given: unknown, problem: RegExp]> = [
    [
      "/etc/s3cr3t/key.json",
      /it is not JSON: set it to the content of the file that Google issued, not to its name/
    ],
    [JSON.stringify(key).slice(0, -20), /it is not JSON: set it to the complete content/],
    [key.private_key, /it is PEM text: set it to the complete JSON/],
    [Buffer.from(JSON.stringify(key)).toString("base64"), /it is JSON in Base64: decode it first/],
    [JSON.stringify(JSON.stringify(key)), /it is JSON, but not an object: remove the quotation marks/],
    ["[]", /it is JSON, but not an object\./],
    [
      key,
      /is not of the right type \(its value is not shown\), but must be the JSON key of a service account, as text\./
    ],
    [JSON.stringify({}), /it has no type, which must be service_account/],
    [JSON.stringify({ ...key, type: "s3cr3t" }), /its type is not service_account/],
    [
      JSON.stringify({ type: "authorized_user", refresh_token: "s3cr3t" }),
      /it is the sign-in of a user \(authorized_user\)/
    ],
    [
      JSON.stringify({ type: "external_account" }),
      /it is a configuration of workload identity federation \(external_account\)/
    ],
    [JSON.stringify({ type: "constructor" }), /its type is not service_account/],
    [JSON.stringify({ installed: { client_secret: "s3cr3t" } }), /it is the client ID of an app for OAuth/],
    [JSON.stringify({ type: "service_account" }), /: it has no client_email, and it has no private_key\./],
    [JSON.stringify({ ...key, client_email: ["s3cr3t"] }), /its client_email is not a text/],
    [JSON.stringify({ ...key, private_key: "s3cr3t" }), /its private_key is damaged: it must be PEM text/],
    [
      JSON.stringify({ ...key, private_key: key.private_key.replaceAll("\n", "\\n") }),
      /its private_key is damaged: its line feeds are escaped twice/
    ],
    [
      JSON.stringify({ ...key, private_key: key.private_key.replaceAll("\n", "") }),
      /its private_key is damaged: it is not a complete PEM/
    ],
    [JSON.stringify({ ...key, private_key: key.private_key.slice(0, 900) }), /its private_key is damaged/],
    [JSON.stringify({ ...key, private_key: pem("ec") }), /its private_key is not an RSA key/],
    [JSON.stringify({ ...key, private_key: encrypted }), /its private_key is encrypted/],
    [JSON.stringify({ ...key, token_uri: "s3cr3t" }), /its token_uri is not an http or https URL/],
    [
      JSON.stringify({ ...key, token_uri: "file:///etc/s3cr3t" }),
      /its token_uri is not an http or https URL/
    ],
    [
      JSON.stringify({ ...key, universe_domain: "s3cr3t/../" }),
      /its universe_domain is not the name of a domain/
    ],
    [
      JSON.stringify({ ...key, quota_project_id: "s3cr3t\r\nX: y" }),
      /its quota_project_id is not the ID of a project/
    ]
  ]
  for (const [given, problem] of wrong) {
    it.effect(`is refused without its content: ${problem.source.slice(0, 70)}`, () =>
      Effect.gen(function* () {
        const { message } = yield* Effect.flip(decode(given))
        assert.match(message, /^The configuration is not valid\. authentication\.service_account_key /)
        assert.match(message, problem)
        assert.notInclude(message, "s3cr3t")
        const line = key.private_key.split("\n")[2] ?? ""
        assert.notInclude(message, line)
      })
    )
  }

  it.effect("may be absent: then the machine's own credentials are used", () =>
    Effect.gen(function* () {
      for (const absent of [undefined, null, ""]) {
        assert.deepStrictEqual((yield* decode(absent)).authentication, { auth_type: "google" })
      }
    })
  )
})
