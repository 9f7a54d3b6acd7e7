/** The command `check`, rule by rule. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { gauge } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import * as rules from "./rules.ts"
import {
  assertNoPassword,
  assertRefused,
  check,
  password,
  serveUnusable,
  typesOf,
  unusableServers,
  wrongConfigurations
} from "./verbs.ts"

describe("check", { concurrent: true }, () => {
  it.live("succeeds if the server can be read", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const { message, status } = yield* check(config)
      assert.deepStrictEqual([status, message], ["SUCCEEDED", ""])
    })
  )

  it.live("succeeds with the right password", () =>
    Effect.gen(function* () {
      const basicAuth = { user: "reader", password: "right" }
      const { config } = yield* serve(
        gauge("m", 5),
        5,
        { basicAuth },
        { basic_auth_user: "reader", basic_auth_pass: "right" }
      )
      assert.strictEqual((yield* check(config)).status, "SUCCEEDED")
    })
  )

  it.live("succeeds under a path prefix, with or without a trailing slash", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5, { pathPrefix: "/some/where" })
      for (const base_url of [config.base_url, `${config.base_url}/`]) {
        assert.strictEqual((yield* check({ ...config, base_url })).status, "SUCCEEDED")
      }
    })
  )

  it.live("adds nothing but logs with --debug", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const files = yield* connector.workspace
      const path = files.write("config.json", config)
      const output = yield* rules.verb(["check", "--debug", "--config", path])
      assert.deepStrictEqual([output.code, typesOf(output)], [0, ["CONNECTION_STATUS"]])
    })
  )

  // Metrics may appear later: an empty server is not an error, but a user who runs a check wants to know.
  it.live("succeeds with a warning if the server has no metrics in the range", () =>
    Effect.gen(function* () {
      const { config } = yield* serve([], 5)
      const { logs, status } = yield* check(config)
      assert.strictEqual(status, "SUCCEEDED")
      assert.match(logs.join("\n"), /^WARN .*no metric has data .*check start_date, end_date, metrics/m)
    })
  )

  it.live("survives a transient failure", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5, {
        faults: (_request, attempt) => (attempt === 1 ? { status: 503 } : undefined)
      })
      assert.strictEqual((yield* check(config)).status, "SUCCEEDED")
    })
  )

  it.live("treats nulls and empty strings as not set", () =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(gauge("m", 5), 5)
      const { logs, status } = yield* check({
        ...config,
        basic_auth_user: "",
        basic_auth_pass: null,
        end_date: null,
        metrics: { include: null, exclude: null },
        selector: "",
        label_columns: null,
        lookback_window: null,
        settle_delay: null,
        headers: null,
        concurrency: null,
        request_timeout: null,
        max_retries: null,
        compression: null
      })
      assert.strictEqual(status, "SUCCEEDED")
      assert.notMatch(logs.join("\n"), /^WARN/m)
      assert.isFalse(mock.requests.some(({ headers }) => headers.has("authorization")))
    })
  )

  it.live("warns about unknown keys, and ignores them", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5)
      const { logs, status } = yield* check({
        ...config,
        __injected_declarative_manifest: {},
        stepp: 60,
        metrics: { includes: ["a"] }
      })
      assert.strictEqual(status, "SUCCEEDED")
      assert.match(
        logs.join("\n"),
        /^WARN .*ignored: __injected_declarative_manifest, stepp, metrics\.includes\.$/m
      )
    })
  )

  it.live.each(wrongConfigurations)("fails and reports the reason: $what", ({ more, says }) =>
    Effect.gen(function* () {
      const { config, mock } = yield* serve(gauge("m", 5), 5)
      const output = yield* check({ ...config, ...more })
      assert.strictEqual(output.status, "FAILED")
      for (const text of says) assert.match(output.message, text)
      assertNoPassword(output)
      assert.isEmpty(mock.requests)
    })
  )

  it.live("fails if the configuration is not an object", () =>
    Effect.gen(function* () {
      for (const config of ["null", "[]", '"http://localhost:9090"']) {
        const { message, status } = yield* check(config)
        assert.strictEqual(status, "FAILED")
        assert.match(message, /must be a JSON object with at least base_url and start_date/)
      }
    })
  )

  it.live.each(unusableServers)("fails if the server $what", (server) =>
    Effect.gen(function* () {
      const output = yield* check(yield* serveUnusable(server))
      assert.strictEqual(output.status, "FAILED")
      for (const text of server.says) assert.match(output.message, text)
      assertNoPassword(output)
    })
  )

  // Without a configuration there is nothing to check, so the status is not FAILED.
  const unreadable = [
    { what: "does not exist", name: "none.json", text: /none\.json cannot be read: it does not exist\./ },
    { what: "is a folder", name: ".", text: /cannot be read: it is not a file\./ },
    { what: "is empty", name: "x.json", content: " ", text: /x\.json is not JSON: it is empty\./ },
    {
      what: "is not JSON",
      name: "x.json",
      content: `{\n"basic_auth_pass": "${password}"\n"step": 60}`,
      text: /x\.json is not JSON \(line 3\)\./
    }
  ]
  it.live.each(unreadable)("rejects a file that $what", ({ content, name, text }) =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const path = content === undefined ? files.path(name) : files.write(name, content)
      const output = yield* rules.verb(["check", "--config", path])
      assertRefused(output, "config_error", /^The configuration file /, text)
      assertNoPassword(output)
    })
  )

  it.live("rejects unknown flags", () =>
    Effect.gen(function* () {
      assertRefused(yield* rules.verb(["check"]), "config_error", /--config/, /--help/)
      // The suggestion is on the same line as the rest.
      assertRefused(
        yield* rules.verb(["check", "--confg", "x"]),
        "config_error",
        /source-prometheus check has no flag --confg\. Did you mean --config\? See source-prometheus check --help\.$/
      )
      assertRefused(
        yield* rules.verb(["check", "--tabel", "x", "--tabel", "y"]),
        "config_error",
        /^source-prometheus check has no flag --tabel\. See source-prometheus check --help\.$/
      )
    })
  )
})
