/** The page about authentication: each of its configurations is accepted, and says what the text beside it does. */
import { generateKeyPairSync } from "node:crypto"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { decodeConfig } from "../../src/config/ConnectorConfig.ts"
import { keys } from "../../src/config/keys.ts"
import { connectionSpecification } from "../../src/config/spec.ts"
import { selfSigned } from "../support/selfSigned.ts"

const page = readFileSync("docs/authentication.md", "utf8")

/** The headings of the page, and its configurations, each with its heading. */
const headings: Array<string> = []
const examples: Array<{ readonly heading: string; readonly json: string }> = []
for (const { groups = {} } of page.matchAll(
  /^#+ (?<heading>.*)$|^```json\n(?<json>(?:(?!```).*\n)*)```$/gm
)) {
  if (groups.heading !== undefined) headings.push(groups.heading)
  else examples.push({ heading: headings.at(-1) ?? "", json: groups.json ?? "" })
}

/** What stands for the texts that the page cannot show. */
const pair = selfSigned()
const secrets: Readonly<Record<string, string>> = {
  ca_certificate: pair.cert,
  client_certificate: pair.cert,
  client_key: pair.key,
  service_account_key: JSON.stringify({
    type: "service_account",
    client_email: "reader@project.iam.gserviceaccount.com",
    private_key: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
      type: "pkcs8",
      format: "pem"
    })
  })
}

/** A configuration with real secrets instead of those with an ellipsis. */
const filled = (json: string): Readonly<Record<string, unknown>> =>
  JSON.parse(json, (name, value: unknown) =>
    typeof value === "string" && value.includes("…") && Object.hasOwn(secrets, name) ? secrets[name] : value
  )

describe("the page about authentication", () => {
  it("has all keys in each configuration that platforms require", () => {
    const required = connectionSpecification().required as ReadonlyArray<string>
    for (const { heading, json } of examples)
      assert.containsAllKeys(JSON.parse(json) as object, [...required], heading)
  })

  it("has an example in each section that describes a way in", () => {
    const withExample = new Set(examples.map(({ heading }) => heading))
    assert.deepStrictEqual(
      headings.filter((heading) => !withExample.has(heading)),
      ["Authentication, TLS and proxies", "What holds for every method", "OAuth 2.0"]
    )
  })

  examples.forEach(({ heading, json }, index) => {
    it.effect(`has a valid configuration: ${heading}, ${index}`, () =>
      Effect.gen(function* () {
        const { warnings } = yield* decodeConfig(filled(json))
        assert.deepStrictEqual(warnings, [])
      })
    )
  })

  it("has an example of every method, and of every key of each", () => {
    const used = examples.map(({ json }) => filled(json))
    const methods = keys.authentication.variants?.forms ?? {}
    for (const [method, { keys: table }] of Object.entries(methods)) {
      if (method === "none") continue
      const examplesOf = used.flatMap(({ authentication }) => {
        const given = authentication as { readonly auth_type?: string } | undefined
        return given?.auth_type === method ? [given] : []
      })
      assert.isNotEmpty(examplesOf, method)
      const keysOf = new Set(examplesOf.flatMap((given) => Object.keys(given)))
      // Their defaults fit everyone, or the setup guide says enough.
      for (const rare of ["service", "session_token"]) keysOf.add(rare)
      for (const name of Object.keys(table)) assert.isTrue(keysOf.has(name), `${method}.${name}`)
    }
  })

  it("uses Azure's three addresses of the same cloud in each row of its table", () => {
    const rows = [
      ...page.matchAll(/^\| .* \| `(https:\/\/login[^`]*)` \| `(https[^`]*)` \| `….([^`]*)` \|$/gm)
    ]
    assert.strictEqual(rows.length, 3)
    for (const [, tokenUrl = "", scope = "", endpoint = ""] of rows) {
      assert.match(tokenUrl, /^https:\/\/[^/]+\/TENANT\/oauth2\/v2\.0\/token$/)
      assert.strictEqual(scope, `https://${endpoint}/.default`)
    }
  })

  it("links to sections that it has", () => {
    const anchors = headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w\s-]/g, "")
        .replaceAll(" ", "-")
    )
    for (const [, anchor = ""] of page.matchAll(/\]\(#([^)]*)\)/g)) assert.include(anchors, anchor)
  })
})
