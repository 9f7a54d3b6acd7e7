/** README's examples: every command is executed, here or by a part of CI that is named here, and every JSON is checked. */
import { spawn } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { delimiter, join, resolve } from "node:path"
import { gunzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { decodeConfig } from "../../src/config/ConnectorConfig.ts"
import { generate } from "../../src/mock/generate.ts"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import * as MockServer from "../../src/mock/MockServer.ts"
import { SummaryDocument } from "../../src/report/summaryJson.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { linkProject } from "../support/linkedProject.ts"

const readme = readFileSync("README.md", "utf8")

const blocksOf = (language: string): ReadonlyArray<string> =>
  Array.from(readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms")), ([, text]) => text!)

/** The commands of a block, without comments. Quotes and a trailing backslash join lines. */
const commandsIn = (block: string): ReadonlyArray<string> => {
  const parts = block.match(/'[^']*'|"[^"]*"|(?<= )#[^\n]*|\\\n *|[\s\S]/g) ?? []
  const commands = [""]
  for (const part of parts) {
    if (part === "\n") commands.push("")
    else if (!/^(#.|\\\n)/.test(part)) commands[commands.length - 1] += part
  }
  return commands.map((command) => command.trim()).filter((command) => command !== "")
}

const commands = blocksOf("sh").flatMap(commandsIn)

/** A folder that looks like a clone. */
interface Place {
  readonly path: (name: string) => string
  readonly write: connector.Workspace["write"]
}

interface Left {
  readonly stdout: string
  readonly stderr: string
}

/** Checks the outcome of a command. */
type Check = (left: Left, place: Place) => void

const hasNewRows =
  (destination: string): Check =>
  ({ stdout }, { path }) => {
    assert.match(stdout, /[1-9][\d,]* new rows of .* series in .* streams?/)
    assert.isTrue(existsSync(path(destination)), destination)
  }

const hasLines =
  (count: number): Check =>
  ({ stdout }) =>
    assert.lengthOf(stdout.trimEnd().split("\n"), count)

const hasMessage =
  (type: string): Check =>
  ({ stdout }) =>
    assert.include(
      stdout.split("\n").map((line) => (line === "" ? "" : (JSON.parse(line) as { type: string }).type)),
      type
    )

/** The commands that run here, in README's order, each in the folder as the previous ones left it. */
const here: ReadonlyMap<string, Check> = new Map([
  ["npm start", hasNewRows("demo.duckdb")],
  ["dist/source-prometheus.js spec", hasMessage("SPEC")],
  ["dist/source-prometheus.js check --config config.json", hasMessage("CONNECTION_STATUS")],
  [
    "dist/source-prometheus.js discover --config config.json",
    (left, place) => {
      hasMessage("CATALOG")(left, place)
      const { catalog } = JSON.parse(left.stdout.split("\n").find((line) => line.includes('"CATALOG"'))!)
      place.write("catalog.json", connector.configure(catalog.streams, "incremental"))
      place.write("state.json", [])
    }
  ],
  [
    "dist/source-prometheus.js read --config config.json --catalog catalog.json --state state.json",
    hasMessage("RECORD")
  ],
  [
    "npx source-prometheus run --url https://prometheus.example.com --start 2026-01-01 --step 5m --select 'node_*'",
    hasNewRows("prometheus.duckdb")
  ],
  ["npx source-prometheus run --config config.json --start 2026-01-02", hasNewRows("prometheus.duckdb")],
  [
    "npx source-prometheus run --demo --to duckdb:demo.duckdb",
    ({ stdout }) => assert.match(stdout, /new rows? of .*; duckdb:demo\.duckdb has /)
  ],
  [`duckdb -readonly demo.duckdb -c 'SELECT * FROM "queue_depth" ORDER BY time DESC LIMIT 10'`, hasLines(10)],
  [
    `duckdb -readonly demo.duckdb -c 'SELECT series_id, time, count(*) FROM "queue_depth" GROUP BY series_id, time HAVING count(*) > 1'`,
    ({ stdout }) => assert.strictEqual(stdout, "")
  ],
  ["npx source-prometheus run --demo --to parquet:metrics", hasNewRows("metrics/queue_depth")],
  [
    `duckdb -c "FROM read_parquet('metrics/queue_depth/*/*.parquet', union_by_name=true) LIMIT 10"`,
    hasLines(10)
  ],
  ["npx source-prometheus run --demo --to jsonl:lines --gzip", hasNewRows("lines/queue_depth.jsonl.gz")],
  ["gzip -dc lines/queue_depth.jsonl.gz | head -n 5", hasLines(5)],
  [
    blocksOf("sh")
      .find((block) => block.startsWith("node --input-type=module"))!
      .trim(),
    ({ stdout }) => assert.lengthOf(stdout.match(/'[0-9a-f]{32}'/g) ?? [], 10, stdout)
  ],
  [
    "npx source-prometheus run --config config.json --select 'node_*' --full-refresh",
    hasNewRows("prometheus.duckdb")
  ],
  [
    "npx source-prometheus run --config config.json --dry-run",
    ({ stdout }) => assert.match(stdout, /^STREAM +SERIES .*^Nothing was read or written\.$/ms)
  ],
  [
    "npx source-prometheus run --config config.json --json --report report.html > summary.json",
    ({ stdout }, { path }) => {
      assert.strictEqual(stdout, "")
      const printed = JSON.parse(readFileSync(path("summary.json"), "utf8"))
      assert.isTrue(Schema.decodeUnknownSync(SummaryDocument)(printed).succeeded)
      const shown = JSON.parse(blocksOf("json").find((text) => text.includes('"look_into"'))!)
      assert.deepStrictEqual(Object.keys(shown), Object.keys(printed))
      assert.deepStrictEqual(Object.keys(shown.streams[0]), Object.keys(printed.streams[0]))
      assert.match(readFileSync(path("report.html"), "utf8"), /^<!doctype html>/)
    }
  ]
])

/** Commands that run until they are stopped, with the text on standard error after which they are stopped. */
const endless: ReadonlyMap<string, string> = new Map([
  ["npx source-prometheus run --config config.json --to parquet:metrics-of-now --every 15m", "Next run at "]
])

/** Commands that cannot run in a test, with the file and the code that runs each of them. */
const elsewhere: ReadonlyMap<string, readonly [file: string, words: string]> = new Map([
  ["npm test", [".ci/run", "npm test -- "]],
  ["npm run lint", [".ci/run", "npm run --silent lint"]],
  ["npm run typecheck", [".ci/run", "npm run --silent typecheck"]],
  ["npm run build", [".ci/run", "npm run --silent build"]],
  ["npm run bench", ["test/integration/bench.test.ts", "bench/bench.ts"]],
  ["bash .ci/run", [".github/workflows/ci.yml", "run: bash .ci/run"]],
  [
    "npm install source-prometheus effect",
    ["test/package/package.test.ts", 'install(project, packed, ["effect"']
  ],
  ["npx source-prometheus-cli run --demo", ["test/package/cli.test.ts", 'execute(folder, "npx", args']],
  ["npm install --global source-prometheus-cli", ["test/package/cli.test.ts", '"--global"']],
  ["effect run --demo", ["test/package/cli.test.ts", 'execute(prefix, "effect", ["run", "--demo"']],
  // buildah builds from the same file, and the containers are entered without Docker.
  ["docker build --tag airbyte/source-prometheus .", ["scripts/verify-image.sh", 'build --tag "$connector"']],
  ["docker run --rm airbyte/source-prometheus spec", ["test/shipping/image.check.ts", 'verb("spec")']],
  ["docker build --target run --tag source-prometheus .", ["scripts/verify-image.sh", "build --target run"]],
  [
    `docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" source-prometheus run --url https://prometheus.example.com --start 2026-01-01 --to duckdb:x.duckdb`,
    ["test/shipping/runImage.check.ts", '"--to", "duckdb:x.duckdb"]']
  ],
  // These are evaluated, as README says, but not built.
  ["nix run . -- spec", ["test/shipping/outputs.nix", "apps"]],
  ["nix build .#image", ["test/shipping/outputs.nix", "packages"]],
  ["nix develop", ["test/shipping/outputs.nix", "devShells"]]
])

/** A stand-in for DuckDB's own program, which few machines have: takes `[-readonly] [FILE] -c SQL`, and prints a row per line. */
const duckdb = `#!/usr/bin/env node
const { DuckDBInstance } = require(process.cwd() + "/node_modules/@duckdb/node-api")
const args = process.argv.slice(2)
const sql = args[args.indexOf("-c") + 1]
const readonly = args[0] === "-readonly"
const path = readonly ? args[1] : ":memory:"
const main = async () => {
  const database = await DuckDBInstance.create(path, readonly ? { access_mode: "READ_ONLY" } : {})
  const reader = await (await database.connect()).runAndReadAll(sql)
  for (const row of reader.getRowObjectsJson()) console.log(JSON.stringify(row))
}
main()
`

/** The environment of a separate shell, without npm's variables, which describe this project. */
const environment = (programs: string, cache: string): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|INIT_CWD$|VITEST|NODE_ENV$)/i.test(name))
  ),
  // npx records here each folder in which it was called.
  npm_config_cache: cache,
  PATH: [programs, resolve("node_modules/.bin"), process.env.PATH].join(delimiter)
})

interface Ended extends Left {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Runs a command in a shell to completion, or until it prints the given text: then Ctrl-C stops it. */
const execute = (command: string, cwd: string, env: NodeJS.ProcessEnv, until?: string) =>
  Effect.callback<Ended>((resume) => {
    // A separate process group, as in a terminal: Ctrl-C reaches all of its processes.
    const child = spawn("sh", ["-c", command], {
      cwd,
      env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"]
    })
    const end = (signal: NodeJS.Signals): void => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, signal)
    }
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      const hadSaid = until === undefined || stderr.includes(until)
      stderr += text
      if (!hadSaid && stderr.includes(until)) end("SIGINT")
    })
    child.once("close", (code, signal) => resume(Effect.succeed({ code, signal, stdout, stderr })))
    return Effect.sync(() => end("SIGKILL"))
  })

describe("README", () => {
  it("has exactly the commands that are listed here", () => {
    const known = [...here.keys(), ...endless.keys(), ...elsewhere.keys()]
    assert.sameMembers([...new Set(commands)], known)
  })

  it("has code in languages that are tested: the programs by test/package and test/clients", () => {
    const languages = Array.from(readme.matchAll(/^```(\S*)\n.*?^```$/gms), ([, language]) => language!)
    assert.sameMembers([...new Set(languages)], ["sh", "json", "ts", "python"])
    assert.lengthOf(blocksOf("python"), 1)
    assert.lengthOf(blocksOf("ts"), 2)
  })

  for (const [command, [file, words]] of elsewhere) {
    it(`leaves to ${file}: ${command}`, () => {
      assert.include(readFileSync(file, "utf8"), words)
    })
  }

  it.live(
    "has commands that work as described, one after another",
    () =>
      Effect.gen(function* () {
        const server = yield* MockServer.make(
          new MockPrometheus(generate({ endMillis: Date.UTC(2026, 0, 3), hours: 48 }))
        )
        const place = yield* connector.workspace
        const folder = place.path("clone")
        const programs = place.path("programs")
        for (const path of [folder, programs]) mkdirSync(path)
        writeFileSync(join(programs, "duckdb"), duckdb)
        chmodSync(join(programs, "duckdb"), 0o755)
        linkProject(folder)
        const files: Place = {
          path: (name) => join(folder, name),
          write: (name, content) => place.write(join("clone", name), content)
        }
        const withServer = (text: string) => text.replaceAll("https://prometheus.example.com", server.baseUrl)
        files.write("config.json", withServer(blocksOf("json")[0]!))
        for (const command of commands) {
          const check = here.get(command)
          const until = endless.get(command)
          if (check === undefined && until === undefined) continue
          const { code, signal, stderr, stdout } = yield* execute(
            withServer(command),
            folder,
            environment(programs, place.path("npm")),
            until
          )
          if (check === undefined) assert.isTrue(code === 130 || signal === "SIGINT", `${command}\n${stderr}`)
          else {
            assert.strictEqual(code, 0, `${command}\n${stdout}${stderr}`)
            check({ stdout, stderr }, files)
          }
        }

        const shown = JSON.parse(blocksOf("json").find((text) => text.includes('"data"'))!)
        const lines = gunzipSync(readFileSync(files.path("lines/queue_depth.jsonl.gz")))
          .toString()
          .trimEnd()
        const { series_id, ...labels } = shown.data
        const written = lines
          .split("\n")
          .map((line) => JSON.parse(line))
          .find(({ data }) => data.series_id === series_id)
        assert.deepStrictEqual(Object.keys(shown), Object.keys(written))
        assert.deepStrictEqual(Object.keys(shown.data), Object.keys(written.data))
        assert.deepInclude(written.data, {
          series_id,
          ...labels,
          time: written.data.time,
          value: written.data.value
        })
      }),
    300_000
  )

  it.effect("shows a valid configuration and a valid summary", () =>
    Effect.gen(function* () {
      const [config, record, summary, ...others] = blocksOf("json").map((text) => JSON.parse(text))
      assert.lengthOf(others, 0)
      assert.deepStrictEqual((yield* decodeConfig(config)).warnings, [])
      assert.strictEqual(typeof record.stream, "string")
      Schema.decodeUnknownSync(SummaryDocument)(summary)
    })
  )

  it.live("lists exactly the flags of run in its table", () =>
    Effect.gen(function* () {
      const { stdout } = yield* child.run(["run", "--help"])
      const flags = /^FLAGS\n(.*?)^GLOBAL FLAGS$/ms.exec(stdout)![1]!.match(/(?<=^ {2})--[a-z-]+/gm)!
      const table = /^\| flag \|.*?^$/ms.exec(readme)![0].match(/(?<=`)--[a-z-]+/g)!
      assert.sameMembers(table, flags)
    })
  )

  it("links only to files and headings that exist", () => {
    const anchors = Array.from(readme.matchAll(/^#+ (.*)$/gm), ([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-")
    )
    for (const [, target] of readme.matchAll(/\]\(([^)]+)\)|(?<=src(?:set)?=)"([^"]+)"/g)) {
      if (target === undefined || /^https?:/.test(target)) continue
      const [path, anchor] = target.split("#")
      if (path !== "") assert.isTrue(existsSync(path!), target)
      else assert.include(anchors, anchor)
    }
    for (const [, path] of readme.matchAll(/src(?:set)?="([^"]+)"/g)) assert.isTrue(existsSync(path!), path)
  })
})
