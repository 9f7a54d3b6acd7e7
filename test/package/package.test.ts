/** The published library: its files, its types, and whether programs and examples run from it alone. */
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import type { Faults } from "../../src/mock/faults.ts"
import { onMetric, refusal } from "../../src/mock/faults.ts"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import * as MockServer from "../../src/mock/MockServer.ts"
import * as child from "../support/child.ts"
import { serveRaw } from "../support/rawServer.ts"
import { copyExamples, examples, install, type Packed, pack, temporaryFolder } from "./freshProject.ts"

const temporary = temporaryFolder()
const project = join(temporary.path, "project")
let packed: Packed

const inProject = (name: string): string => join(project, name)

const installedManifest = () =>
  JSON.parse(readFileSync(inProject("node_modules/source-prometheus/package.json"), "utf8")) as object

/** The TypeScript blocks of README's section about the library. */
const readmeBlocks = (): ReadonlyArray<string> => {
  const readme = readFileSync(fileURLToPath(new URL("../../README.md", import.meta.url)), "utf8")
  const section = /^## As a library\n(.*?)^## /ms.exec(readme)?.[1] ?? ""
  return Array.from(section.matchAll(/^```ts\n(.*?)^```/gms), ([, code]) => code!)
}

beforeAll(() => {
  packed = pack(temporary.path, "source-prometheus")
  mkdirSync(project)
  install(project, packed, ["effect", "typescript", "@types/node", "vitest", "@effect/vitest"])
  copyExamples(project)
  for (const [index, code] of readmeBlocks().entries()) {
    writeFileSync(inProject(code.includes("vitest") ? `readme${index}.test.ts` : `readme${index}.ts`), code)
  }
})

afterAll(() => temporary.remove())

describe("the library's package", () => {
  const declarations = () =>
    packed.files.map(({ path }) => path).filter((path) => path.startsWith("dist/types/"))

  it("contains exactly the files that it needs", () => {
    const files = packed.files
      .map(({ path }) => path.replace(/^(dist\/shared-)\w+(\.js)$/, "$1$2"))
      .filter((path) => !path.startsWith("dist/types/"))
    assert.deepStrictEqual(files.sort(), [
      "LICENSE",
      "README.md",
      "dist/THIRD-PARTY-LICENSES",
      "dist/aws.mjs",
      "dist/google.mjs",
      "dist/index.js",
      "dist/promql.mjs",
      "dist/regexp.mjs",
      "dist/shared-.js",
      "dist/testing.js",
      "package.json"
    ])
  })

  it("contains exactly the declarations that its entry points import", () => {
    const root = inProject("node_modules/source-prometheus")
    const reached = new Set<string>()
    const reach = (path: string): void => {
      if (reached.has(path)) return
      reached.add(path)
      const text = readFileSync(join(root, path), "utf8")
      for (const [, name] of text.matchAll(/"(\.[^"]+)\.ts"/g)) {
        reach(resolve("/", dirname(path), `${name}.d.ts`).slice(1))
      }
    }
    for (const entry of [packageJson.exports["."], packageJson.exports["./testing"]]) {
      reach(entry.types.slice("./".length))
    }
    assert.deepStrictEqual([...reached].sort(), [...declarations()].sort())
  })

  it("is small", () => {
    // The libraries of AWS and Google are a fifth and a third of these.
    assert.isBelow(packed.size, 510_000)
    assert.isBelow(packed.unpackedSize, 1_800_000)
  })

  it("contains the files that package.json refers to", () => {
    const paths = packed.files.map(({ path }) => path)
    const { ".": library, "./testing": testing } = packageJson.exports
    const targets = [packageJson.main, packageJson.types]
    for (const target of [...targets, ...Object.values({ ...library }), ...Object.values({ ...testing })]) {
      assert.include(paths, target.replace(/^\.\//, ""))
    }
  })

  it("brings neither a command nor DuckDB into a project", () => {
    assert.notProperty(installedManifest(), "bin")
    assert.notProperty(installedManifest(), "dependencies")
    const modules = readdirSync(inProject("node_modules"))
    assert.includeMembers(modules, ["effect", "source-prometheus"])
    assert.notInclude(modules, "@duckdb")
    const commands = readdirSync(inProject("node_modules/.bin"))
    assert.include(commands, "tsc")
    assert.deepStrictEqual(
      commands.filter((command) => /^(effect|source-prometheus.*)$/.test(command)),
      []
    )
  })

  it("names the licences of what it contains, and of nothing else", () => {
    const licences = readFileSync(
      inProject("node_modules/source-prometheus/dist/THIRD-PARTY-LICENSES"),
      "utf8"
    )
    assert.include(licences, `\nre2js ${packageJson.devDependencies.re2js} (`)
    // The page of reports is in the other package.
    assert.notMatch(licences, /^uplot /m)
  })

  it("imports nothing but Effect and Node", () => {
    for (const { path } of packed.files.filter(({ path }) => /^dist\/[^/]+\.js$/.test(path))) {
      const text = readFileSync(join(inProject("node_modules/source-prometheus"), path), "utf8")
      const imports = [...text.matchAll(/^(?:import|export|\}) ?[^"'\n]*\bfrom "([^"]+)"/gm)].map(
        ([, name]) => name!
      )
      for (const name of imports) assert.match(name, /^(node:[\w/]+|effect(\/[\w/]+)?|\.\/shared-\w+\.js)$/)
    }
  })
})

describe("a fresh project", () => {
  it("compiles the examples, README's code and all packages' declarations in strict mode", () => {
    const files = readdirSync(project).filter((name) => name.endsWith(".ts"))
    assert.sameMembers(files, [...examples, "readme0.ts", "readme1.test.ts"])
    writeFileSync(
      inProject("tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          target: "ES2024",
          // Effect's own declarations need both.
          lib: ["ES2024", "DOM"],
          types: ["node"],
          module: "NodeNext",
          skipLibCheck: false,
          noEmit: true
        },
        files
      })
    )
    assert.strictEqual(compile(), "")
  })

  it("gets type errors for its mistakes", () => {
    writeFileSync(
      inProject("wrong.ts"),
      `import { ConnectorConfig, samples } from "source-prometheus"
import { Effect, Stream } from "effect"
ConnectorConfig.layer({ base_url: "http://h", start_date: "2026-01-01", compression: "zip" })
Effect.runPromise(Stream.runDrain(samples("up")))
`
    )
    const reported = compile(
      "--ignoreConfig",
      "--strict",
      "--noEmit",
      "--module",
      "NodeNext",
      "--skipLibCheck",
      "wrong.ts"
    )
    assert.match(reported, /wrong\.ts\(3,\d+\): error TS\d+: Type '"zip"' is not assignable/)
    assert.match(reported, /wrong\.ts\(4,\d+\): error .*(ConnectorConfig|PrometheusClient)/s)
  })

  /** The compiler's output. */
  const compile = (...args: ReadonlyArray<string>): string => {
    try {
      return execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", ...args], {
        cwd: project,
        encoding: "utf8"
      })
    } catch (error) {
      return (error as { readonly stdout: string }).stdout
    }
  }

  it.live("runs the tests of the examples and README", () =>
    Effect.gen(function* () {
      const result = yield* child.run(["run", "--reporter=json", "--outputFile=report.json"], {
        script: inProject("node_modules/vitest/vitest.mjs"),
        cwd: project
      })
      assert.strictEqual(result.code, 0, result.stdout + result.stderr)
      const report = JSON.parse(readFileSync(inProject("report.json"), "utf8")) as {
        readonly numPassedTests: number
        readonly testResults: ReadonlyArray<{ readonly name: string }>
      }
      assert.strictEqual(report.numPassedTests, 4)
      assert.lengthOf(report.testResults, 2)
    })
  )

  it.live(
    "gets from the mock the same errors that the library exports, and its own Effect catches them",
    () =>
      Effect.gen(function* () {
        writeFileSync(
          inProject("errors.ts"),
          `import { Effect, Layer, Stream } from "effect"
import { ConnectorConfig, PrometheusError, samples } from "source-prometheus"
import { generate, layerMock, MockPrometheus, onPath } from "source-prometheus/testing"

const mock = new MockPrometheus(generate({ endMillis: 0, hours: 1 }), { faults: onPath("", { status: 401 }) })
const config = ConnectorConfig.layer({ base_url: "http://mock", start_date: "2026-01-01" })
const error = await Stream.runDrain(samples("up")).pipe(
  Effect.provide(layerMock(mock).pipe(Layer.provideMerge(config))),
  Effect.catchTag("PrometheusError", (error) => Effect.succeed(error)),
  Effect.runPromise
)
console.log(error instanceof PrometheusError && error.reason)
`
        )
        const result = yield* child.run([], { script: inProject("errors.ts"), cwd: project })
        assert.deepStrictEqual([result.stdout, result.stderr], ["Unauthorized\n", ""])
      })
  )

  it.live("has the regular expression engine where the mock loads it", () =>
    Effect.gen(function* () {
      writeFileSync(
        inProject("expressions.ts"),
        `import { Effect } from "effect"
import { makeDatabase, makeSeries, MockPrometheus, mockServer } from "source-prometheus/testing"

const up = makeSeries({ __name__: "up", job: "a".repeat(5000) }, [[0, 1]])
const found = await Effect.gen(function* () {
  const { baseUrl } = yield* mockServer(new MockPrometheus(makeDatabase([up])))
  const query = encodeURIComponent('up{job=~"(a+)+",job!~"(a+)+b"}')
  return yield* Effect.promise(async () => (await fetch(\`\${baseUrl}/api/v1/query?time=0&query=\${query}\`)).json())
}).pipe(Effect.scoped, Effect.runPromise)
console.log(found.status, found.data.result.length)
`
      )
      const result = yield* child.run([], { script: inProject("expressions.ts"), cwd: project })
      assert.deepStrictEqual([result.stdout, result.stderr], ["success 1\n", ""])
    })
  )

  it.live("has the libraries of AWS and Google where the client loads them", () =>
    Effect.gen(function* () {
      writeFileSync(
        inProject("credentials.ts"),
        `import { Effect, Layer } from "effect"
import { ConnectorConfig, PrometheusClient } from "source-prometheus"

for (const authentication of [{ auth_type: "aws_sigv4", region: "eu-central-1" }, { auth_type: "google" }] as const) {
  const config = ConnectorConfig.layer({ base_url: "http://localhost:9", start_date: "2026-01-01", max_retries: 0, authentication })
  const error = await Effect.flatMap(PrometheusClient, ({ now }) => Effect.flip(now)).pipe(
    Effect.provide(Layer.provide(PrometheusClient.layer, config)),
    Effect.runPromise
  )
  console.log(error.reason, error.summary.split(":")[0])
}
`
      )
      // A machine without credentials.
      const env = { HOME: project, AWS_EC2_METADATA_DISABLED: "true", GCE_METADATA_HOST: "127.0.0.1:9" }
      const result = yield* child.run([], { script: inProject("credentials.ts"), cwd: project, env })
      assert.deepStrictEqual(
        [result.stdout, result.stderr],
        [
          "Unauthorized There are no AWS credentials\nUnauthorized This machine has no credentials for Google Cloud\n",
          ""
        ]
      )
    })
  )
})

describe("the examples", () => {
  const start = Date.UTC(2026, 0, 1)
  const hour = 3_600_000
  const HOURS = 24 * 40

  /** One sample per hour, in two series. */
  const hourly = (metric: string, count: number) =>
    ["a", "b"].map((instance, n) =>
      makeSeries(
        { __name__: metric, instance },
        Array.from({ length: count }, (_, i) => [start + i * hour, i + n / 2] as const)
      )
    )

  const serve = Effect.fnUntraced(function* (count: number, faults: { current?: Faults } = {}) {
    const mock = new MockPrometheus(
      makeDatabase(["up", "queue_depth"].flatMap((name) => hourly(name, count))),
      {
        lookbackMillis: 1000,
        version: "3.0.0",
        faults: (request, attempt) => faults.current?.(request, attempt)
      }
    )
    return { mock, ...(yield* MockServer.make(mock)) }
  })

  it.live("read a metric", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* serve(HOURS)
      const example = inProject("read-metric.ts")
      const { code, stderr, stdout } = yield* child.run([], {
        script: example,
        cwd: project,
        env: { PROMETHEUS_URL: baseUrl }
      })
      assert.strictEqual(code, 0, stderr)
      const expected = ["a", "b"].flatMap((instance, n) =>
        Array.from(
          { length: HOURS },
          (_, i) => `${new Date(start + i * hour).toISOString()} ${instance} ${i + n / 2}`
        )
      )
      assert.sameMembers(stdout.trimEnd().split("\n"), expected)
    })
  )

  /** The spans that an OpenTelemetry collector receives, as paths of names from the outermost span. */
  const collect = Effect.fnUntraced(function* () {
    interface Span {
      readonly name: string
      readonly spanId: string
      readonly parentSpanId?: string
    }
    const spans: Array<Span> = []
    const url = yield* serveRaw((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString()) as {
          readonly resourceSpans: ReadonlyArray<{
            readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Span> }>
          }>
        }
        spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)))
        response.end()
      })
    })
    const path = ({ name, parentSpanId }: Span): ReadonlyArray<string> => {
      const parent = spans.find(({ spanId }) => spanId === parentSpanId)
      return parent === undefined ? [name] : [...path(parent), name]
    }
    return { url, paths: () => spans.map((span) => path(span).join(" > ")) }
  })

  it.live("send spans to a collector", () =>
    Effect.gen(function* () {
      const { baseUrl, mock } = yield* serve(HOURS)
      const collector = yield* collect()
      const { code, stderr, stdout } = yield* child.run([], {
        script: inProject("tracing.ts"),
        cwd: project,
        env: { PROMETHEUS_URL: baseUrl, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }
      })
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stdout, `${2 * HOURS} samples\n`)
      const paths = collector.paths()
      assert.include(paths, "export")
      assert.isTrue(
        paths.every((path) => path.startsWith("export")),
        paths.join("\n")
      )
      const requests = paths.filter((path) => /PrometheusClient\.\w+$/.test(path))
      assert.lengthOf(requests, mock.requests.length)
      assert.isTrue(requests.some((path) => path.endsWith("Read.window > PrometheusClient.queryRange")))
    })
  )

  it("read a metric in ten lines", () => {
    const lines = readFileSync(inProject("read-metric.ts"), "utf8").split("\n")
    assert.isAtMost(lines.filter((line) => line !== "" && !line.startsWith("/**")).length, 10)
  })

  it.live("in README read a metric, too", () =>
    Effect.gen(function* () {
      const { baseUrl } = yield* serve(48)
      const code = readFileSync(inProject("readme0.ts"), "utf8")
      assert.include(code, '"http://localhost:9090"')
      writeFileSync(inProject("readme0.run.ts"), code.replace("http://localhost:9090", baseUrl))
      const result = yield* child.run([], { script: inProject("readme0.run.ts"), cwd: project })
      assert.strictEqual(result.code, 0, result.stderr)
      assert.lengthOf(result.stdout.trimEnd().split("\n"), 2 * 48)
      assert.match(result.stdout, /^2026-01-01T00:00:00\.000Z a 0$/m)
    })
  )

  /** Everything in the database of the custom destination. Throws if it is incomplete. */
  const samplesIn = (path: string): ReadonlyMap<string, number> => {
    const database = new DatabaseSync(path, { readOnly: true })
    try {
      const rows = database.prepare("SELECT metric, labels, time, value FROM samples").all()
      return new Map(
        rows.map(({ labels, metric, time, value }) => [
          `${metric} ${(JSON.parse(String(labels)) as { readonly instance: string }).instance} ${time}`,
          Number(value)
        ])
      )
    } finally {
      database.close()
    }
  }

  const expectedSamples = (count: number): ReadonlyMap<string, number> =>
    new Map(
      ["up", "queue_depth"].flatMap((metric) =>
        ["a", "b"].flatMap((instance, n) =>
          Array.from(
            { length: count },
            (_, i) =>
              [`${metric} ${instance} ${new Date(start + i * hour).toISOString()}`, i + n / 2] as const
          )
        )
      )
    )

  /** The first hour of each query for a metric. */
  const startsOf = (mock: MockPrometheus, metric: string): ReadonlyArray<number> =>
    mock.requests
      .filter((request) => onMetric(metric, {})(request) !== undefined)
      .map(({ params }) => (Number(params.get("start")) * 1000 - start) / hour)

  it.live("replicate into a custom destination, and add only new data", () =>
    Effect.gen(function* () {
      const { baseUrl, mock } = yield* serve(HOURS)
      const options = {
        script: inProject("custom-destination.ts"),
        cwd: project,
        env: { PROMETHEUS_URL: baseUrl, DATABASE: inProject("once.sqlite") }
      }
      const first = yield* child.run([], options)
      assert.strictEqual(first.code, 0, first.stderr)
      assert.deepStrictEqual(samplesIn(options.env.DATABASE), expectedSamples(HOURS))
      mock.requests.length = 0
      const second = yield* child.run([], options)
      assert.strictEqual(second.code, 0, second.stderr)
      assert.deepStrictEqual(samplesIn(options.env.DATABASE), expectedSamples(HOURS))
      // It started where the first run ended, at the current time.
      for (const from of startsOf(mock, "up")) assert.isAbove(from, HOURS)
    })
  )

  for (const end of ["a failure", "SIGKILL"] as const) {
    it.live(`keep samples and state consistent there despite ${end}`, () =>
      Effect.gen(function* () {
        const reached = yield* Deferred.make<void>()
        const broken = end === "SIGKILL" ? { stallAfterBytes: 3000 } : refusal(400, "broken")
        const faults: { current?: Faults } = {
          current: (request) => {
            if (Number(request.params.get("start")) * 1000 <= start) return undefined
            const fault = onMetric("queue_depth", broken)(request)
            if (fault !== undefined) Deferred.doneUnsafe(reached, Effect.void)
            return fault
          }
        }
        const { baseUrl, mock } = yield* serve(HOURS, faults)
        const options = {
          script: inProject("custom-destination.ts"),
          cwd: project,
          env: { PROMETHEUS_URL: baseUrl, DATABASE: inProject(`${end}.sqlite`) }
        }
        const running = yield* child.start([], options)
        yield* Deferred.await(reached)
        if (end === "SIGKILL") running.kill("SIGKILL")
        const first = yield* running.result
        assert.strictEqual(first.signal ?? first.code, end === "SIGKILL" ? end : 1)
        const before = samplesIn(options.env.DATABASE)
        assert.isBelow(before.size, expectedSamples(HOURS).size)
        delete faults.current
        mock.requests.length = 0
        const second = yield* child.run([], options)
        assert.strictEqual(second.code, 0, second.stderr)
        assert.deepStrictEqual(samplesIn(options.env.DATABASE), expectedSamples(HOURS))
        // Exactly the stored samples are not requested again.
        const [from] = startsOf(mock, "queue_depth")
        assert.strictEqual([...before.keys()].filter((key) => key.startsWith("queue_depth a ")).length, from)
      })
    )
  }
})
