/** Error messages and exit codes, with real servers where one is needed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { start } from "../support/dataset.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { describeEach, servers } from "../support/servers.ts"

const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

const config = (base_url: string, more: object = {}) => ({
  base_url,
  start_date: iso(start),
  end_date: iso(start + 3_600_000),
  step: 60,
  max_retries: 1,
  ...more
})

/** A gauge with so many series, and a sample per minute for an hour. */
const gauge = (name: string, seriesCount: number) =>
  Array.from({ length: seriesCount }, (_, n) => ({
    labels: { __name__: name, n: `${n}` },
    samples: Array.from({ length: 61 }, (_, i) => [start + i * 60_000, i + n] as const)
  }))

/** Runs check, discover and read against one configuration. */
const allVerbs = Effect.fnUntraced(function* (settings: object) {
  const files = yield* connector.workspace
  const path = files.write("config.json", settings)
  const [check, discover, read] = yield* Effect.all(
    [
      connector.runVerb(["check", "--config", path]),
      connector.runVerb(["discover", "--config", path]),
      connector.runVerb([
        "read",
        "--config",
        path,
        "--catalog",
        files.write("catalog.json", connector.catalogOf("up"))
      ])
    ],
    { concurrency: 3 }
  )
  return { check, discover, read }
})

/** Asserts that a check failed. A CONNECTION_STATUS of FAILED is a result, so the exit code is 0. */
const assertCheckFailed = (output: connector.Output, ...texts: ReadonlyArray<RegExp>): void => {
  const statuses = output.messages.filter(({ type }) => type === "CONNECTION_STATUS")
  assert.strictEqual(statuses.length, 1, output.stdout)
  const { message, status } = statuses[0]!.connectionStatus as {
    readonly status: string
    readonly message: string
  }
  assert.strictEqual(status, "FAILED")
  for (const text of texts) assert.match(message, text)
  assert.strictEqual(output.stderr, "")
  assert.strictEqual(output.code, 0)
}

const assertFailed = (
  output: connector.Output,
  failureType: string,
  ...texts: ReadonlyArray<RegExp>
): void => {
  const error = output.errors.at(-1)
  assert.strictEqual(error?.failure_type, failureType, output.stdout)
  for (const text of texts) assert.match(error?.message ?? "", text)
  assert.notMatch(output.stdout, /^\s+at .*\.[jt]s:\d+/m)
  assert.strictEqual(output.stderr, "")
  assert.strictEqual(output.code, 1)
}

const assertAllFail = Effect.fnUntraced(function* (
  settings: object,
  failureType: string,
  ...texts: ReadonlyArray<RegExp>
) {
  const { check, discover, read } = yield* allVerbs(settings)
  assertCheckFailed(check, ...texts)
  assertFailed(discover, failureType, ...texts)
  assertFailed(read, failureType, ...texts)
  return [check, discover, read].map(({ stderr, stdout }) => stdout + stderr).join("\n")
})

describe("an error", () => {
  it.effect("names a host that does not exist", () =>
    Effect.gen(function* () {
      const output = yield* assertAllFail(
        config("http://no-such-host.invalid:9090", { max_retries: 0 }),
        "transient_error",
        /no-such-host\.invalid.*host name/,
        /Check base_url/
      )
      assert.notMatch(output, /trying again/i)
    })
  )

  it.effect("explains a wrong path, but not the right one", () =>
    Effect.gen(function* () {
      const server = yield* RealPrometheus.make({ series: gauge("up", 1), routePrefix: "/metrics/here" })
      const wrong = server.baseUrl.replace("/metrics/here", "/prometheus")
      yield* assertAllFail(config(wrong), "config_error", /HTTP 404/, /path of base_url/)
      const { read } = yield* allVerbs(config(`${server.baseUrl}/`))
      assert.strictEqual(read.records.length, 61)
    })
  )

  it.effect("is reported for a damaged or foreign state, and nothing is read", () =>
    Effect.gen(function* () {
      const server = yield* RealPrometheus.make({ series: gauge("up", 1) })
      const files = yield* connector.workspace
      const entry = (stream_state: unknown) => [
        { type: "STREAM", stream: { stream_descriptor: { name: "up" }, stream_state } }
      ]
      for (const state of [
        entry({ time: "yesterday", step: 60, version: 1 }),
        entry({ time: "2026-01-01T00:00:00Z", step: 60, version: 2 }),
        entry({ cursor: 17 }),
        [{ type: "LEGACY", data: {} }],
        { up: 5 }
      ]) {
        const output = yield* connector.read(files, config(server.baseUrl), connector.catalogOf("up"), state)
        assertFailed(output, "config_error", /state/)
        assert.strictEqual(output.records.length, 0)
        assert.strictEqual(output.states.length, 0)
      }
    })
  )
})

describeEach(servers, "an error of a real $name", ({ make }) => {
  it.effect("is reported for a wrong password, which it does not show, but not for the right one", () =>
    Effect.gen(function* () {
      const server = yield* make({ series: gauge("up", 1), basicAuth: true })
      const wrong = config(server.baseUrl, { basic_auth_user: "tester", basic_auth_pass: "Geheim-4711" })
      const output = yield* assertAllFail(
        wrong,
        "config_error",
        /HTTP 401/,
        /basic_auth_user, basic_auth_pass/
      )
      assert.notInclude(output, "Geheim-4711")
      assert.notInclude(output, Buffer.from("tester:Geheim-4711").toString("base64"))
      yield* assertAllFail(config(server.baseUrl), "config_error", /HTTP 401/)
      const right = yield* allVerbs(
        config(server.baseUrl, {
          basic_auth_user: RealPrometheus.basicAuthUser,
          basic_auth_pass: RealPrometheus.basicAuthPassword
        })
      )
      assert.deepInclude(right.check.messages, {
        type: "CONNECTION_STATUS",
        connectionStatus: { status: "SUCCEEDED" }
      })
      assert.strictEqual(right.read.records.length, 61)
      assert.strictEqual(right.read.code, 0)
    })
  )
})
