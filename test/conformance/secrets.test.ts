/** Secrets are planted in every channel, and must not occur in any output. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Fault, MockRequest } from "../../src/mock/http.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import * as rules from "./rules.ts"

/** With characters that JSON, addresses, forms and web pages escape differently. */
const password = `S3cret/"pl&nted<Passw0rd>' \\é`
/** The second word of a header's value, which servers may quote on its own. */
const token = "planted.t0ken+with/slash=="
const tenant = "planted-tenant-secret"
const basic = Buffer.from(`user:${password}`).toString("base64")

/** No piece of a secret of this length may be visible: this also finds secrets that were cut off. */
const PIECE = 8

const secretConfig = {
  basic_auth_user: "user",
  basic_auth_pass: password,
  headers: [
    { name: "X-Token", value: `Bearer ${token}` },
    { name: "X-Scope-OrgID", value: tenant }
  ]
}

const html = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** The forms in which a server may repeat a secret. */
const forms: Readonly<Record<string, (secret: string) => string>> = {
  "as it is": (secret) => secret,
  "in JSON": (secret) => JSON.stringify(secret),
  "in JSON in JSON": (secret) => JSON.stringify(JSON.stringify(secret)),
  "in an address": (secret) => `https://user:${encodeURIComponent(secret)}@host/`,
  "in a form": (secret) => new URLSearchParams({ password: secret }).toString(),
  "in a web page": html
}

const all = [password, token, tenant, basic]

/** Fails if a piece of a secret is found. */
const checkNoSecret = (text: string): void => {
  for (const secret of all) {
    for (const form of Object.values(forms)) {
      const written = form(secret).replace(/^\W+|\W+$/g, "")
      const core = written.slice(Math.max(0, written.indexOf(secret.slice(0, 4))))
      for (let i = 0; i + PIECE <= core.length; i++) {
        const piece = core.slice(i, i + PIECE)
        if (text.includes(piece)) assert.fail(`"${piece}" of "${secret}" is in ${text.slice(0, 2000)}`)
      }
    }
  }
}

/** The text of a server that repeats everything it was sent. */
const confession = (form: (secret: string) => string): string => all.map(form).join(" and ")

/** Responses that repeat the secrets, in every way in which a server can send text. */
const faults = (form: (secret: string) => string): Readonly<Record<string, Fault>> => {
  const json = (error: string) => JSON.stringify({ status: "error", errorType: "bad_data", error })
  const jsonHeaders = { "content-type": "application/json" }
  return {
    "an error in JSON": { status: 400, body: json(confession(form)), headers: jsonHeaders },
    "an error with status 200": { status: 200, body: json(confession(form)), headers: jsonHeaders },
    "an error in plain text": { status: 403, body: confession(form) },
    // The message is cut at 300 characters, in the middle of the password.
    "a long error": { status: 422, body: json("x".repeat(290) + confession(form)), headers: jsonHeaders },
    "a web page": {
      status: 502,
      body: `<html><title>${confession(form)}</title></html>`,
      headers: { "content-type": "text/html" }
    },
    "a redirect": {
      status: 302,
      headers: { location: `http://elsewhere/${encodeURIComponent(password)}/${token}` }
    },
    "a response without an envelope": {
      status: 200,
      body: JSON.stringify({ reported: confession(form) }),
      headers: jsonHeaders
    },
    // Cut at 100 characters.
    "a response that is not JSON": {
      status: 200,
      body: `${"x".repeat(95)}${confession(form)}`,
      headers: jsonHeaders
    }
  }
}

/** The output of `check`, `discover`, `read` and `run`. */
const runAll = Effect.fnUntraced(function* (config: object) {
  const files = yield* connector.workspace
  const path = files.write("config.json", { ...config, unknown_key: "unknown" })
  const catalog = files.write("catalog.json", {
    streams: [{ stream: { name: "m", json_schema: {} }, sync_mode: "incremental" }]
  })
  const results = yield* Effect.forEach(
    [
      ["check", "--config", path, "--debug"],
      ["discover", "--config", path, "--debug"],
      ["read", "--config", path, "--catalog", catalog, "--debug"],
      ["run", "--config", path, "--to", `jsonl:${files.path("data")}`]
    ],
    (args) => child.run(args, { env: { LOG_LEVEL: "TRACE" } }),
    { concurrency: 2 }
  )
  return results.map(({ stderr, stdout }) => stdout + stderr)
})

const secretMock = {
  basicAuth: { user: "user", password },
  requiredHeaders: { "X-Token": `Bearer ${token}`, "X-Scope-OrgID": tenant }
}

/** Applies a fault only to requests for samples, so that a read gets that far. */
const onSamples =
  (fault: Fault) =>
  ({ path }: MockRequest): Fault | undefined =>
    path === "/api/v1/query_range" ? fault : undefined

describe("secrets", () => {
  for (const [what, fault] of Object.entries(faults(forms["as it is"]!))) {
    it.live(`that a server repeats in ${what} are not printed`, () =>
      Effect.gen(function* () {
        for (const chosen of [() => fault, onSamples(fault)]) {
          const { config } = yield* serve(
            gauge("m", 5),
            5,
            { ...secretMock, faults: chosen },
            { ...secretConfig, max_retries: 0 }
          )
          const texts = yield* runAll(config)
          texts.forEach(checkNoSecret)
          // Every command that requests samples has failed with a reason.
          for (const text of texts.slice(2))
            assert.match(text, /HTTP|redirects|is not a Prometheus|is not what|cannot be read/)
        }
      })
    )
  }

  it.live("are not printed in any form in which a server may repeat them", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const catalog = { streams: [{ stream: { name: "m", json_schema: {} }, sync_mode: "incremental" }] }
      for (const form of Object.values(forms)) {
        for (const fault of [faults(form)["an error in plain text"]!, faults(form)["a long error"]!]) {
          const { config } = yield* serve(
            gauge("m", 5),
            5,
            { ...secretMock, faults: () => fault },
            secretConfig
          )
          const { errors, stdout } = yield* connector.read(files, config, catalog)
          checkNoSecret(stdout)
          assert.match(errors.at(-1)!.message, /\*{4}|x{290}/)
        }
      }
    })
  )

  it.live("are not printed when a server includes them in warnings, nor by a successful read", () =>
    Effect.gen(function* () {
      const reported = Object.values(forms).map(confession)
      const { config } = yield* serve(
        gauge("m", 5),
        5,
        { ...secretMock, warnings: reported, infos: reported },
        { ...secretConfig, partial_data: "accept" }
      )
      const texts = yield* runAll(config)
      texts.forEach(checkNoSecret)
      assert.match(texts[2]!, /warns: .*\*\*\*\*/)
      assert.match(texts[2]!, /"COMPLETE"/)
    })
  )

  it.live("are not printed when they are rejected", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(
        gauge("m", 5),
        5,
        { basicAuth: { user: "user", password: "another" } },
        secretConfig
      )
      const texts = yield* runAll(config)
      texts.forEach(checkNoSecret)
      for (const text of texts) assert.include(text, "HTTP 401")
    })
  )

  for (const [what, broken] of [
    ["a secret of the wrong type", { basic_auth_pass: [password] }],
    ["headers of the wrong type", { headers: { authorization: token, other: tenant } }],
    ["a header whose name is its value", { headers: [{ name: `Bearer ${token}`, value: tenant }] }],
    ["a header that breaks the connection", { headers: [{ name: "X", value: `${tenant}\r\n${token}` }] }],
    ["a password without a user", { basic_auth_user: undefined }],
    ["credentials in base_url", { base_url: `http://user:${encodeURIComponent(password)}@host:1/` }],
    ["unescaped credentials in base_url", { base_url: `http://user:${token}@host:1/?token=${tenant}` }],
    ["an object instead of base_url", { base_url: { url: "http://h", pass: password, token } }],
    ["a list instead of base_url", { base_url: ["http://h", tenant, { token }] }],
    [
      "secrets in keys that are not secret",
      { step: { token }, metrics: [password], selector: { x: [tenant] } }
    ],
    ["a header that belongs to the connection", { headers: [{ name: "Trailer", value: token }] }],
    ["another invalid key", { start_date: "yesterday" }]
  ] as const) {
    it.live(`are not printed for a configuration with ${what}`, () =>
      Effect.gen(function* () {
        const { config } = yield* serve(gauge("m", 5), 5, {}, secretConfig)
        const texts = yield* runAll({ ...config, ...broken })
        texts.forEach(checkNoSecret)
        for (const text of texts) assert.include(text, "onfiguration is not valid")
      })
    )
  }

  it.live("are not printed when the configuration, the catalog or the state is broken JSON", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5, {}, secretConfig)
      const files = yield* connector.workspace
      const complete = JSON.stringify(config)
      const broken = files.write("broken.json", `${complete.slice(0, -1)},, "x": ${JSON.stringify(password)}`)
      const cut = files.write("cut.json", complete.slice(0, complete.indexOf("planted")))
      const good = files.write("good.json", config)
      const catalog = files.write("catalog.json", {
        streams: [{ stream: { name: "m" }, sync_mode: "incremental" }]
      })
      for (const args of [
        ["check", "--config", broken],
        ["check", "--config", cut],
        ["read", "--config", good, "--catalog", broken],
        ["read", "--config", good, "--catalog", catalog, "--state", cut]
      ]) {
        const { stderr, stdout } = yield* child.run(args)
        assert.include(stdout, "is not JSON")
        checkNoSecret(stdout + stderr)
      }
    })
  )

  it.live("are unchanged in records, where they are data", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge(tenant.replaceAll("-", "_"), 2), 2, {}, secretConfig)
      const name = tenant.replaceAll("-", "_")
      const files = yield* connector.workspace
      const secretName = { ...config, headers: [{ name: "X-Scope-OrgID", value: name }] }
      const streams = yield* connector.discover(files, secretName)
      const { records } = yield* rules.read(files, secretName, connector.configure(streams, "incremental"))
      assert.deepStrictEqual(
        records.map(({ stream }) => stream),
        [name, name]
      )
    })
  )

  it.live.each(["s", "1", "e", "http", "prometheus", "api", "hunter"])(
    "are not revealed by the places of their mask if they are %s, and are not repeated",
    (common) =>
      Effect.gen(function* () {
        const says = `wrong password: ${common}, "${common}" (${common}) of prometheus`
        const faulty = (config: object) =>
          serve(
            gauge("m", 5),
            5,
            { faults: () => ({ status: 403, body: says }) },
            { ...config, max_retries: 0 }
          )
        const auth = (secret: string) => ({ basic_auth_user: "reader-7", basic_auth_pass: secret })
        const { config } = yield* faulty(auth(common))
        const reference = yield* faulty(auth("a-b1-c2-d3"))
        // Ignore addresses and times, which differ between the two.
        const plain = (text: string) => text.replace(/127\.0\.0\.1:\d+|\d{13}|source-prometheus-\w+/g, "~")
        const texts = (yield* runAll(config)).map(plain)
        const others = (yield* runAll(reference.config)).map(plain)
        for (const [i, text] of texts.entries()) {
          assert.notMatch(text, /\w\*{4}|\*{4}\w|\*{4}:\/\//)
          assert.match(text, /http:\/\/~/)
          assert.notInclude(text, `password: ${common}`)
          // Except for the server's text, the output is the same as with a password that occurs nowhere by chance.
          const words = (text: string) => text.replace(/wrong password: .*? of (?:prometheus|\*{4})/g, "…")
          assert.strictEqual(words(text), words(others[i]!))
        }
      })
  )
})
