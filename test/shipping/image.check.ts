/** What Airbyte, Kubernetes and people at a command line expect of the connector's image. */
import { chmodSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import * as connector from "../support/connector.ts"
import { gauge } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import * as container from "./container.ts"
import { filesOf, isWritableBy, sizeOf } from "./files.ts"

const image = container.connectorImage
const AIRBYTE = 1000
const program = "/usr/local/lib/source-prometheus"
const { Cmd, Entrypoint, Env, Labels, User, WorkingDir } = image.config

describe("the image", () => {
  it("has its name, its version and its entry point as labels for Airbyte", () => {
    assert.strictEqual(Labels["io.airbyte.name"], "airbyte/source-prometheus")
    assert.strictEqual(Labels["io.airbyte.version"], packageJson.version)
    assert.include(Env, `AIRBYTE_ENTRYPOINT=${Entrypoint.join(" ")}`)
    for (const word of Entrypoint) assert.isTrue(word.startsWith("/") && !word.includes(" "), word)
    assert.deepStrictEqual(Cmd ?? [], [])
  })

  it("runs as the user airbyte, who owns the folders that Airbyte mounts and nothing else", () => {
    assert.strictEqual(User, `${AIRBYTE}:${AIRBYTE}`)
    assert.strictEqual(WorkingDir, "/airbyte")
    const users = readFileSync(join(image.root, "etc/passwd"), "utf8").split("\n")
    assert.deepStrictEqual(
      users.map((user) => user.split(":")).filter(([, , uid]) => uid === `${AIRBYTE}`),
      [["airbyte", "x", `${AIRBYTE}`, `${AIRBYTE}`, "", "/home/airbyte", "/bin/bash"]]
    )
    const writable = [...filesOf(image.root)]
      .filter(([, stats]) => !stats.isSymbolicLink() && isWritableBy(AIRBYTE, stats))
      .map(([path]) => path)
      .filter((path) => !/^\/(dev|proc|sys)\//.test(path))
    const own = ["/airbyte", "/config", "/secrets", "/home/airbyte"]
    const everybodys = ["/tmp", "/var/tmp", "/run/lock"]
    for (const path of [...own, "/tmp"]) assert.include(writable, path)
    assert.deepStrictEqual(
      writable.filter(
        (path) => ![...own, ...everybodys].includes(path) && !path.startsWith("/home/airbyte/")
      ),
      []
    )
  })

  it("adds the program to its base, and nothing else", () => {
    const before = filesOf(container.base)
    const after = filesOf(image.root)
    const added = [...after.keys()].filter(
      (path) => !before.has(path) && !before.has(path.replace("/home/airbyte", "/home/node"))
    )
    assert.deepStrictEqual(added.map((path) => path.replace(/(\/common-)\w+(\.mjs)$/, "$1$2")).sort(), [
      "/airbyte",
      "/config",
      "/secrets",
      program,
      `${program}/LICENSE`,
      `${program}/THIRD-PARTY-LICENSES`,
      `${program}/aws.mjs`,
      `${program}/cluster.mjs`,
      `${program}/common-.mjs`,
      `${program}/google.mjs`,
      `${program}/main.mjs`,
      `${program}/promql.mjs`,
      `${program}/regexp.mjs`,
      `${program}/report.mjs`,
      `${program}/s3.mjs`,
      `${program}/source-prometheus.js`
    ])
    assert.isBelow(sizeOf(after) - sizeOf(before), 30e6)
  })
})

describe("a container", () => {
  const SERIES = 3
  const MINUTES = 100
  /** As Kubernetes has it, where the words may stand for others. */
  const byPlatform = (words: string) => ["sh", "-c", `eval "$AIRBYTE_ENTRYPOINT ${words}"`]

  /** The folders of tests are their user's alone. */
  const openToAll = (folder: string) => chmodSync(folder, 0o777)

  const source = Effect.gen(function* () {
    const { config } = yield* serve(gauge("up", MINUTES, SERIES), MINUTES)
    const files = yield* connector.workspace
    files.write("connectorConfig.json", config)
    return { config, files }
  })

  for (const user of ["1000:1000", "4711:4711", "4711:0", "0:0"]) {
    it.live(
      `does all verbs as Kubernetes starts them, as the user ${user}, with nothing to write to but /tmp`,
      () =>
        Effect.gen(function* () {
          const { files } = yield* source
          const options = { user, cwd: "/source", mounts: { [files.path("")]: "/source" } }
          // A user who is not the one that wrote the files, as a platform's init container.
          openToAll(files.path(""))
          const verb = (words: string) =>
            Effect.map(container.run(image, byPlatform(words), options), connector.parseOutput)

          const spec = yield* verb("spec")
          assert.deepStrictEqual([spec.code, spec.stderr, spec.messages.length], [0, "", 1])
          assert.strictEqual(spec.messages[0]?.type, "SPEC")

          const check = yield* verb("check --config /source/connectorConfig.json")
          assert.deepStrictEqual([check.code, check.stderr], [0, ""])
          assert.deepInclude(check.messages.at(-1), { connectionStatus: { status: "SUCCEEDED" } })

          const discover = yield* verb("discover --config connectorConfig.json")
          assert.deepStrictEqual([discover.code, discover.stderr], [0, ""])
          const catalog = discover.messages.find(({ type }) => type === "CATALOG")?.catalog
          const { streams } = catalog as { readonly streams: ReadonlyArray<connector.Stream> }
          files.write("connectorCatalog.json", connector.configure(streams, "incremental"))
          files.write("inputState.json", [])

          const read = yield* verb(
            "read --config connectorConfig.json --catalog connectorCatalog.json --state inputState.json"
          )
          assert.deepStrictEqual([read.code, read.stderr, read.errors.length], [0, "", 0])
          assert.strictEqual(read.records.length, SERIES * MINUTES)
        })
    )
  }

  it.live("takes its command from Docker, and writes into a folder of the one who runs it", () =>
    Effect.gen(function* () {
      const { config, files } = yield* source
      openToAll(files.path(""))
      const options = { user: "4711:4711", cwd: "/data", mounts: { [files.path("")]: "/data" } }
      const help = yield* container.run(image, [...Entrypoint, "--help"], options)
      assert.deepStrictEqual([help.code, help.stderr], [0, ""])
      const range = ["--start", config.start_date, "--end", config.end_date, "--step", "1m"]
      const run = [...Entrypoint, "run", "--url", config.base_url, ...range]
      const ran = yield* container.run(image, [...run, "--to", "jsonl:metrics"], options)
      assert.strictEqual(ran.code, 0, ran.stderr)
      const lines = readFileSync(files.path("metrics/up.jsonl"), "utf8").trimEnd().split("\n")
      assert.strictEqual(lines.length, SERIES * MINUTES)
      assert.isTrue(existsSync(files.path("metrics/_state/up.json")))

      // DuckDB is not in the image, and a run into it says what to do.
      const duckdb = yield* container.run(image, run, options)
      assert.deepStrictEqual([duckdb.code, duckdb.stdout], [1, ""])
      assert.match(duckdb.stderr, /DuckDB.*cannot be loaded.*--to jsonl:DIR/s)
    })
  )

  it.live("has the libraries of AWS and Google, which it loads when it needs credentials", () =>
    Effect.gen(function* () {
      const { config, files } = yield* source
      openToAll(files.path(""))
      const options = { user: "1000:1000", cwd: "/source", mounts: { [files.path("")]: "/source" } }
      for (const [authentication, message] of [
        [{ auth_type: "aws_sigv4", region: "eu-central-1" }, /no AWS credentials/],
        [{ auth_type: "google" }, /no credentials for Google Cloud/]
      ] as const) {
        files.write("connectorConfig.json", { ...config, authentication })
        const ran = yield* container.run(image, byPlatform("check --config connectorConfig.json"), options)
        const check = connector.parseOutput(ran)
        assert.deepStrictEqual([check.code, check.stderr], [0, ""])
        const last = check.messages.at(-1) as { readonly connectionStatus?: { readonly message?: string } }
        assert.match(last.connectionStatus?.message ?? "", message)
      }
    })
  )

  it.live("lets the user airbyte write where Airbyte does", () =>
    Effect.gen(function* () {
      const write = "for folder in /airbyte /config /secrets /tmp; do echo test > $folder/written; done"
      const wrote = yield* container.run(image, ["sh", "-c", write], { writable: true })
      assert.deepStrictEqual([wrote.code, wrote.stderr], [0, ""])
      const spoil = yield* container.run(image, ["sh", "-c", `echo test > ${program}/main.mjs`], {
        writable: true
      })
      assert.notStrictEqual(spoil.code, 0)
    })
  )

  for (const [signal, code] of [
    ["SIGTERM", 143],
    ["SIGINT", 130]
  ] as const) {
    it.live(`ends by ${signal} with ${code}, though it is the first process, and leaves complete lines`, () =>
      Effect.gen(function* () {
        const series = gauge("slow", 1000, SERIES)
        const { config } = yield* serve(series, 1000, { faults: () => ({ delayMillis: 300 }) })
        const files = yield* connector.workspace
        connector.readArgs(files, config, connector.catalogOf("slow"))
        openToAll(files.path(""))
        const args = ["read", "--config", "config.json", "--catalog", "catalog.json"]
        const stopped = yield* container.run(image, [...Entrypoint, ...args], {
          cwd: "/source",
          mounts: { [files.path("")]: "/source" },
          onOutput: (kill) => kill(signal)
        })
        assert.deepStrictEqual([stopped.code, stopped.stderr], [code, ""])
        assert.isNotEmpty(stopped.messages)
        assert.isEmpty(
          connector.parseOutput(stopped).statuses.filter((status) => status.endsWith(":COMPLETE"))
        )
      })
    )
  }
})
