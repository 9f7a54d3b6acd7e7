/** The standard tests of Airbyte's CDK ("FAST") and its protocol models, run against the built connector. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { configFor, executable, hours, makeServer, script, wrongPassword } from "./fixture.ts"
import { runPython } from "./python.ts"

const python = inject("python") ?? ""

/** Skips tests that need Docker, and creates no cache folder next to the tests. */
const pytestOptions = ["-m", "not image_tests", "-p", "no:cacheprovider", "--strict-markers", "--junitxml"]

describe.runIf(python !== "")("Airbyte's CDK", () => {
  it.effect("passes the standard tests", () =>
    Effect.gen(function* () {
      const server = yield* makeServer("extreme")
      const config = configFor(server)
      const files = yield* connector.workspace
      // The folder has the connector's name.
      mkdirSync(files.path("source-prometheus/configs"), { recursive: true })
      const write = (name: string, content: object) => {
        files.write(`source-prometheus/${name}`, content)
        return name
      }
      const valid = { config_path: write("configs/config.json", config) }
      const second = {
        config_path: write("configs/labels_object.json", {
          ...config,
          label_columns: false,
          metrics: { include: ["r*"] }
        })
      }
      const failing = (name: string, changes: object) => ({
        config_path: write(`configs/${name}.json`, { ...config, ...changes }),
        status: "failed"
      })
      // JSON is valid YAML.
      write("acceptance-test-config.yml", {
        connector_image: "source-prometheus:dev",
        test_strictness_level: "high",
        acceptance_tests: {
          spec: { tests: [valid, second] },
          connection: {
            tests: [
              { ...valid, status: "succeed" },
              failing("wrong_password", { basic_auth_pass: wrongPassword }),
              failing("no_server", { base_url: "http://127.0.0.1:1", max_retries: 0 }),
              failing("no_date", { start_date: "yesterday" }),
              failing("no_url", { base_url: undefined })
            ]
          },
          discovery: { tests: [valid, second] },
          basic_read: { tests: [valid, second] },
          full_refresh: { tests: [valid, second] }
        }
      })
      const results = files.path("results.xml")
      const { code, stderr, stdout } = yield* runPython(
        python,
        files.path(""),
        ["-m", "pytest", script("test_standard.py"), "-c", script("pytest.ini"), ...pytestOptions, results],
        { SOURCE_PROMETHEUS: executable, CONNECTOR_ROOT: files.path("source-prometheus") }
      )
      assert.strictEqual(code, 0, `${stdout}\n${stderr}`)
      const testcases = readFileSync(results, "utf8")
      const passed = [...testcases.matchAll(/<testcase [^>]*name="([^"]*)"[^>]*\/>/g)].map(([, name]) =>
        name!.replace(/\[.*'(.*)'.*\]/, " $1")
      )
      // Only configurations that are not listed for a test were skipped.
      assert.deepStrictEqual(passed.sort(), [
        "test_basic_read config",
        "test_basic_read labels_object",
        "test_check config",
        "test_check no_date",
        "test_check no_server",
        "test_check no_url",
        "test_check wrong_password",
        "test_config_matches_spec config",
        "test_config_matches_spec labels_object",
        "test_discover config",
        "test_discover labels_object",
        "test_fail_read_with_bad_catalog config",
        "test_fail_read_with_bad_catalog labels_object",
        "test_spec"
      ])
    })
  )

  it.effect("decodes every line without unknown fields", () =>
    Effect.gen(function* () {
      const server = yield* makeServer("extreme")
      const config = configFor(server)
      const files = yield* connector.workspace
      const lines: Array<string> = []
      const run = (verb: string, changes: object = {}, ...args: ReadonlyArray<string>) =>
        Effect.map(
          connector.runVerb([
            verb,
            "--config",
            files.write("config.json", { ...config, ...changes }),
            ...args
          ]),
          ({ stderr, stdout }) => {
            assert.strictEqual(stderr, "")
            lines.push(stdout)
          }
        )
      lines.push((yield* connector.runVerb(["spec"])).stdout)
      yield* run("check", { unknown_key: 1 }, "--debug")
      yield* run("check", { basic_auth_pass: wrongPassword })
      yield* run("discover", { start_date: "yesterday" })
      const streams = yield* connector.discover(files, config)
      yield* run("discover")
      for (const mode of ["full_refresh", "incremental"] as const) {
        const catalog = files.write("catalog.json", connector.configure(streams, mode))
        yield* run("read", { end_date: hours(12) }, "--catalog", catalog, "--debug")
        yield* run("read", { basic_auth_pass: wrongPassword }, "--catalog", catalog)
      }
      yield* run("read", { label_columns: false }, "--catalog", files.path("missing.json"))

      writeFileSync(files.path("messages.jsonl"), lines.join(""))
      const decoded = yield* runPython(python, files.path(""), [
        script("decode_messages.py"),
        files.path("messages.jsonl")
      ])
      assert.strictEqual(decoded.code, 0, decoded.stderr)
      const { problems, types } = JSON.parse(decoded.stdout) as {
        readonly types: Readonly<Record<string, number>>
        readonly problems: ReadonlyArray<string>
      }
      assert.deepStrictEqual(problems, [])
      assert.hasAllKeys(types, ["SPEC", "CONNECTION_STATUS", "CATALOG", "RECORD", "STATE", "LOG", "TRACE"])
      assert.isAbove(types.RECORD!, 5000)
    })
  )
})
