/** The examples for Kubernetes, Docker Compose and systemd, checked by the schema or the program of each. */
import { execFile } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Ajv2020 } from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import { Effect } from "effect"
import { parse } from "yaml"
import packageJson from "../../package.json" with { type: "json" }
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as dockerfile from "../shipping/dockerfile.ts"
import { findSystemdAnalyze } from "../support/binaries.ts"
import * as child from "../support/child.ts"
import { composeSchema } from "../support/composeSchema.ts"
import * as connector from "../support/connector.ts"
import { minute, start } from "../support/gauge.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"
import { exampleText, workloads } from "../support/workloads.ts"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

const IMAGE = `source-prometheus:${packageJson.version}-run`
const METRICS = ["node_load1", "http_requests_total"] as const
const SERIES = 3
const POINTS = 300
const STEP = 5 * minute
/** Prometheus 2 returns a sample for five minutes, inclusive: the last one at the next point too. */
const ROWS = SERIES * (POINTS + 1)

/** The addresses in the examples, and what is there in a test. */
type Places = Readonly<Record<string, string>>

const atPlaces = (text: string, places: Places): string =>
  Object.entries(places).reduce((text, [from, to]) => text.replaceAll(from, to), text)

const prometheus = RealPrometheus.make({
  series: METRICS.flatMap((name) =>
    Array.from({ length: SERIES }, (_, n) => ({
      labels: { __name__: name, instance: `node-${n}` },
      samples: Array.from({ length: POINTS }, (_, i) => [start + i * STEP, i + n] as const)
    }))
  )
})

describe("examples/kubernetes", () => {
  it("uses the image of this version, as a user without rights and with a root that is read-only", () => {
    assert.lengthOf([...workloads], 4)
    for (const { image, name, pod } of workloads.values()) {
      assert.strictEqual(image, IMAGE)
      assert.deepInclude(pod.securityContext, {
        runAsNonRoot: true,
        seccompProfile: { type: "RuntimeDefault" }
      })
      assert.strictEqual(
        `${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}`,
        dockerfile.run.user
      )
      assert.isFalse(pod.automountServiceAccountToken)
      for (const container of pod.containers) {
        assert.deepStrictEqual(container.securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] }
        })
        // What the image lets everybody write to.
        const writable = container.volumeMounts.filter(
          ({ name }) => pod.volumes.find((volume) => volume.name === name)?.emptyDir !== undefined
        )
        assert.deepStrictEqual(
          writable.map(({ mountPath }) => mountPath),
          ["/tmp", dockerfile.run.environment.HOME, dockerfile.run.environment.DUCKDB_EXTENSION_DIRECTORY],
          name
        )
      }
    }
  })

  it("has as many indexes as parts", () => {
    for (const { args, indexes, name } of workloads.values()) {
      const parts = args.indexOf("--parts")
      if (parts >= 0) assert.strictEqual(args[parts + 1], `${indexes.length}`, name)
    }
  })
})

describe("examples/compose", () => {
  it.live("is what the schema of Compose allows, which refuses a misspelled key", () =>
    Effect.gen(function* () {
      const schema = yield* Effect.promise(composeSchema)
      const validate = addFormats.default(new Ajv2020({ strict: false, allErrors: true })).compile(schema)
      const text = exampleText("compose/compose.yaml")
      validate(parse(text))
      assert.deepStrictEqual(validate.errors ?? [], [])
      assert.isFalse(validate(parse(text.replace("depends_on", "depend_on"))))
    })
  )

  it("builds the image with DuckDB of this version", () => {
    const { sync } = parse(exampleText("compose/compose.yaml")).services
    assert.deepStrictEqual([sync.image, sync.build], [IMAGE, { context: "../..", target: "run" }])
    assert.include(sync.volumes, `extensions:${dockerfile.run.environment.DUCKDB_EXTENSION_DIRECTORY}`)
  })
})

describe("examples/systemd", () => {
  const service = exampleText("systemd/source-prometheus.service")
  const PROGRAM = "/usr/local/bin/source-prometheus"

  /** The units, with a program that exists on this machine, changed as given. */
  const units = Effect.fnUntraced(function* (change: (service: string) => string = (service) => service) {
    const files = yield* connector.workspace
    const path = files.path("source-prometheus.service")
    writeFileSync(path, change(service).replace(PROGRAM, executable))
    const timer = files.path("source-prometheus.timer")
    writeFileSync(timer, exampleText("systemd/source-prometheus.timer"))
    return [path, timer] as const
  })

  const analyze = (...args: ReadonlyArray<string>) =>
    Effect.promise(async () => {
      const { stderr, stdout } = await promisify(execFile)(await findSystemdAnalyze(), [...args])
      return { stderr, stdout }
    })

  it.live("has units that systemd understands, and an exposure of at most 1.5", () =>
    Effect.gen(function* () {
      const [path, timer] = yield* units()
      assert.strictEqual((yield* analyze("verify", path, timer)).stderr, "")
      // Ten times as much. It fails above that.
      yield* analyze("security", "--offline=yes", "--threshold=15", path)
      const [wrong] = yield* units((service) => service.replace("PrivateTmp", "PrivateTemp"))
      assert.match((yield* analyze("verify", wrong)).stderr, /Unknown key .*'PrivateTemp'/)
    })
  )

  it.live("starts a command that works", () =>
    Effect.gen(function* () {
      const source = yield* prometheus
      const files = yield* connector.workspace
      const folders = {
        "%S": files.path("state"),
        "%d": files.path("credentials"),
        "/etc": files.path("etc")
      }
      for (const folder of Object.values(folders)) {
        mkdirSync(join(folder, "source-prometheus"), { recursive: true })
      }
      const [, command = ""] = /^ExecStart=(.*)$/m.exec(service)!
      writeFileSync(join(folders["%d"], "token"), "s3cret-t0ken\n")
      writeFileSync(
        join(folders["/etc"], "source-prometheus/config.json"),
        JSON.stringify({
          base_url: source.baseUrl,
          start_date: "2026-01-01",
          step: 300,
          metrics: { include: ["node_*"] }
        })
      )
      const [program, ...args] = atPlaces(command, folders).split(" ")
      assert.strictEqual(program, PROGRAM)
      const { code, stderr } = yield* child.run(args)
      assert.strictEqual(code, 0, stderr)
      const path = join(folders["%S"], "source-prometheus/metrics.duckdb")
      const [row] = yield* Effect.promise(() =>
        queryDatabase(path, "SELECT count(*)::INT AS rows FROM node_load1")
      )
      assert.deepStrictEqual(row, { rows: ROWS })
      // The token is read from the credentials that systemd loads.
      const [, name, from] = /^LoadCredential=(\w+):(.*)$/m.exec(service)!
      assert.deepStrictEqual([name, from], ["token", "/etc/source-prometheus/token"])
      assert.include(readFileSync(join(folders["%d"], "token"), "utf8"), "t0ken")
    })
  )
})
