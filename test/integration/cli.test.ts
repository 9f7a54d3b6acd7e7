/** The built executable from the outside: how it starts, what it prints, how it exits. The server is the mock. */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync
} from "node:fs"
import { basename, delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { onMetric, serve } from "../support/mockServer.ts"
import { modulesAtStart } from "../support/programFiles.ts"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

/** The lines of a folder of JSON lines, parsed. Throws if one is incomplete. */
const linesOf = (folder: string): ReadonlyArray<{ readonly stream: string; readonly data: JsonRecord }> =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".jsonl"))
    .flatMap((name) => {
      const text = readFileSync(join(folder, name), "utf8")
      assert.isTrue(text === "" || text.endsWith("\n"))
      return text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { readonly stream: string; readonly data: JsonRecord })
    })

interface JsonRecord {
  readonly time: string
  readonly series_id: string
  readonly value: number | null
}

/** The keys of the records in a folder. Throws if one is repeated. */
const keysOf = (folder: string): ReadonlySet<string> => {
  const keys = new Set<string>()
  for (const { data, stream } of linesOf(folder)) {
    const key = `${stream} ${data.series_id} ${data.time}`
    if (keys.has(key)) throw new Error(`${key} is there twice`)
    keys.add(key)
  }
  return keys
}

describe("the executable", () => {
  /** Copies the files that it loads at its start into a folder. */
  const copyAlone = (folder: string): string => {
    for (const file of [basename(executable), ...modulesAtStart()])
      copyFileSync(join(dirname(executable), file), join(folder, file))
    return join(folder, basename(executable))
  }

  /** Starts the copy by its path, as PyAirbyte does. */
  const startAlone = (folder: string, args: ReadonlyArray<string>) => {
    return spawnSync(copyAlone(folder), args, {
      cwd: folder,
      encoding: "utf8",
      env: { PATH: dirname(process.execPath) }
    })
  }

  it.live("reports that it cannot write to a full disk, and exits with 1", () =>
    Effect.gen(function* () {
      const result = yield* Effect.promise(
        () =>
          new Promise<{ readonly code: number | null; readonly stderr: string }>((resolve, reject) => {
            const full = openSync("/dev/full", "w")
            const process_ = spawn(process.execPath, [executable, "spec"], {
              stdio: ["ignore", full, "pipe"]
            })
            let stderr = ""
            process_.stderr?.on("data", (chunk: Buffer) => {
              stderr += chunk.toString()
            })
            process_.once("error", reject)
            process_.once("close", (code) => {
              closeSync(full)
              resolve({ code, stderr })
            })
          })
      )
      assert.deepStrictEqual(result, {
        code: 1,
        stderr: "Cannot write to standard output: ENOSPC.\n"
      })
    })
  )

  it.live("starts from a folder without node_modules", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const folder = dirname(files.write("x", ""))
      const result = startAlone(folder, ["spec"])
      assert.isUndefined(result.error)
      assert.strictEqual(result.stderr, "")
      assert.strictEqual(result.status, 0)
      assert.strictEqual((JSON.parse(result.stdout) as { readonly type: string }).type, "SPEC")
    })
  )

  it.live("reads a server from such a folder", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 10, 3), 10)
      const files = yield* connector.workspace
      const alone = copyAlone(dirname(files.write("x", "")))
      const output = yield* connector.runVerb(connector.readArgs(files, config, connector.catalogOf("m")), {
        script: alone,
        cwd: dirname(alone)
      })
      assert.strictEqual(output.stderr, "")
      assert.strictEqual(output.code, 0)
      assert.strictEqual(output.records.length, 30)
    })
  )

  it("has the executable bit and a shebang line", () => {
    assert.doesNotThrow(() => accessSync(executable, constants.X_OK))
    assert.strictEqual(statSync(executable).mode & 0o111, 0o111)
    assert.strictEqual(readFileSync(executable, "utf8").split("\n", 1)[0], "#!/usr/bin/env node")
  })

  it("imports only modules of Node", () => {
    const imports = readFileSync(executable, "utf8").matchAll(/^import\s[^"']*["']([^"']+)["'];?$/gm)
    for (const [, name] of imports) assert.match(name!, /^node:/)
  })
})

describe("an unsupported Node", () => {
  const needed = packageJson.engines.node.replace(">=", "")

  /** Makes the Node of the tests report another version. */
  const as = (version: string): child.ChildOptions => {
    const lie = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } })`
    return { nodeOptions: ["--import", `data:text/javascript,${encodeURIComponent(lie)}`] }
  }

  for (const version of ["18.20.8", "20.19.5", "21.99.9", "22.0.0", "22.18.99"]) {
    it.live(`is reported: ${version}`, () =>
      Effect.gen(function* () {
        const result = yield* child.run(["spec"], as(version))
        assert.strictEqual(result.code, 1)
        assert.strictEqual(result.stdout, "")
        assert.strictEqual(
          result.stderr,
          `source-prometheus needs Node ${needed} or newer; this is Node ${version}.\n`
        )
      })
    )
  }

  for (const version of ["22.19.0", "22.20.1", "23.0.0", "24.1.0", "100.0.0"]) {
    it.live(`is not ${version}`, () =>
      Effect.gen(function* () {
        const result = yield* child.run(["spec"], as(version))
        assert.deepStrictEqual([result.code, result.stderr], [0, ""])
      })
    )
  }

  // The faked versions above test the comparison. Only an old Node shows that it can parse and link the file up to the
  // check. The test takes one from the PATH, or else from npm.
  it.live("is reported even if it lacks features of the language", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const old = findOldNode() ?? fetchOldNode(files.path("old"))
      const result = spawnSync(old, [executable, "spec"], { encoding: "utf8" })
      assert.strictEqual(result.stdout, "")
      assert.match(
        result.stderr,
        /^source-prometheus needs Node [\d.]+ or newer; this is Node (1[89]|20|21)\.[\d.]+\.\n$/
      )
      assert.strictEqual(result.status, 1)
    })
  )

  const findOldNode = (): string | undefined =>
    (process.env.PATH ?? "")
      .split(delimiter)
      .filter((folder) => !folder.includes("node_modules"))
      .map((folder) => join(folder, "node"))
      .find((path) => {
        if (!existsSync(path)) return false
        const major = Number(/^v(\d+)/.exec(execFileSync(path, ["--version"], { encoding: "utf8" }))?.[1])
        return major >= 18 && major < 22
      })

  const fetchOldNode = (folder: string): string => {
    mkdirSync(folder)
    const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`
    const args = ["install", "--prefix", folder, "--no-save", "--no-audit", "--no-fund", `${name}@18`]
    execFileSync("npm", args, { stdio: "ignore" })
    const path = join(folder, "node_modules", name, "bin", "node")
    chmodSync(path, 0o755)
    return path
  }
})

describe("the command line", () => {
  it("has two names", () => {
    const { bin } = packageJson
    assert.deepStrictEqual(Object.keys(bin), ["source-prometheus", "effect"])
    assert.strictEqual(bin.effect, bin["source-prometheus"])
  })

  for (const args of [["--help"], ["-h"], ["read", "--help"], ["run", "--help"], ["check", "--help"]]) {
    it.live(`prints help: ${args.join(" ")}`, () =>
      Effect.gen(function* () {
        const result = yield* child.run(args)
        assert.deepStrictEqual([result.code, result.stderr], [0, ""])
        assert.match(result.stdout, /USAGE\s+source-prometheus/)
        assert.match(result.stdout, args.length === 1 ? /discover/ : /--config/)
      })
    )
  }

  it.live("shows examples in the help of run", () =>
    Effect.gen(function* () {
      const { stdout } = yield* child.run(["run", "--help"])
      assert.match(stdout, /EXAMPLES[\s\S]*source-prometheus run --config config\.json/)
    })
  )

  it.live("prints its version", () =>
    Effect.gen(function* () {
      const result = yield* child.run(["--version"])
      assert.include(result.stdout, packageJson.version)
      assert.strictEqual(result.code, 0)
    })
  )

  for (const args of [["nope"], ["run", "--nope"], ["run", "--to"], ["Read"]]) {
    it.live(`refuses unknown arguments: ${args.join(" ")}`, () =>
      Effect.gen(function* () {
        const result = yield* child.run(args)
        assert.notStrictEqual(result.code, 0)
        assert.isNull(result.signal)
        assert.match(result.stderr, new RegExp(args.at(-1)!))
        assert.notMatch(result.stderr, /\.js:\d+/)
      })
    )
  }
})

describe("check and discover with --human", () => {
  const metrics = [...gauge("a", 5, 2), ...gauge("b", 5)]

  it.live("print their results as a sentence and a table", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(metrics, 5)
      const files = yield* connector.workspace
      const path = files.write("config.json", { ...config, unknown_key: 1 })
      const check = yield* child.run(["check", "--human", "--config", path])
      assert.deepStrictEqual(
        [check.code, check.stdout],
        [0, `Connected to ${config.base_url} (Prometheus 3.0.0): 2 metrics to read.\n`]
      )
      assert.match(check.stderr, /^Unknown configuration key is ignored: unknown_key\.\n$/)
      const discover = yield* child.run(["discover", "--human", "--config", path])
      assert.deepStrictEqual([discover.code, discover.stdout], [0, "STREAM  LABELS\na       n\nb       n\n"])
      assert.match(discover.stderr, /\n2 metrics at http/)
    })
  )

  it.live("print errors as sentences, and exit with 1", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(metrics, 5, { basicAuth: { user: "u", password: "other" } })
      const files = yield* connector.workspace
      const path = files.write("config.json", { ...config, basic_auth_user: "u", basic_auth_pass: "s3cr3t" })
      for (const verb of ["check", "discover"]) {
        const refused = yield* child.run([verb, "--human", "--config", path])
        assert.deepStrictEqual([refused.code, refused.stdout], [1, ""])
        assert.match(refused.stderr, /^http.* returned HTTP 401.*basic_auth_pass.*\n$/)
        assert.notInclude(refused.stderr, "s3cr3t")
        const missing = yield* child.run([verb, "--human", "--config", files.path("none.json")])
        assert.strictEqual(missing.code, 1)
        assert.match(missing.stderr, /none\.json cannot be read: it does not exist\.\n$/)
        const empty = files.write("empty.json", { ...config, metrics: { include: ["none"] } })
        assert.strictEqual((yield* child.run([verb, "--human", "--config", empty])).code, 1)
      }
    })
  )

  /** Runs the executable with a terminal as its standard output. */
  const inTerminal = (args: ReadonlyArray<string>): Effect.Effect<string> =>
    Effect.promise(
      () =>
        new Promise((resolve, reject) => {
          const command = [process.execPath, executable, ...args]
          const started = spawn(
            "script",
            process.platform === "darwin"
              ? ["-q", "/dev/null", ...command]
              : ["-qec", command.map((part) => `'${part}'`).join(" "), "/dev/null"],
            { stdio: ["ignore", "pipe", "inherit"] }
          )
          let shown = ""
          started.stdout.on("data", (chunk: Buffer) => {
            shown += chunk.toString()
          })
          started.once("error", reject)
          started.once("close", () => resolve(shown))
        })
    )

  it.live("are the default on a terminal, unless --no-human is given", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(metrics, 5)
      const files = yield* connector.workspace
      const args = ["check", "--config", files.write("config.json", config)]
      assert.match(yield* inTerminal(args), /: 2 metrics to read\./)
      assert.match(yield* inTerminal([...args, "--no-human"]), /"type":"CONNECTION_STATUS"/)
      assert.match(
        yield* inTerminal(["check", "--confg", "x"]),
        /check has no flag --confg\. Did you mean --config\?/
      )
    })
  )
})

describe("run", () => {
  it.live("needs only flags, and reads the password from the environment or a file", () =>
    Effect.gen(function* () {
      const { config } = yield* serve([...gauge("a_one", 5), ...gauge("a_two", 5), ...gauge("b", 5)], 5, {
        basicAuth: { user: "tester", password: "s3cr3t 1" }
      })
      const files = yield* connector.workspace
      const output = files.path("o")
      const flags = ["--url", config.base_url, "--start", config.start_date, "--end", config.end_date]
      const args = ["run", ...flags, "--step", "1m", "--user", "tester", "--to", `jsonl:${output}`]
      const env = { SOURCE_PROMETHEUS_PASSWORD: "s3cr3t 1" }
      const some = yield* child.run([...args, "--select", "a_*", "--exclude", "*_two"], { env })
      assert.strictEqual(some.code, 0, some.stderr)
      assert.deepStrictEqual([...new Set(linesOf(output).map(({ stream }) => stream))], ["a_one"])
      assert.strictEqual(keysOf(output).size, 5)

      const file = files.path("password")
      writeFileSync(file, "s3cr3t 1\n")
      const all = yield* child.run([...args, "--password-file", file])
      assert.strictEqual(all.code, 0, all.stderr)
      assert.strictEqual(keysOf(output).size, 15)

      writeFileSync(file, "wrong\n")
      const wrong = yield* child.run([...args, "--password-file", file])
      assert.strictEqual(wrong.code, 1)
      assert.match(wrong.stderr, /HTTP 401/)
      const without = yield* child.run(args, { env: { SOURCE_PROMETHEUS_PASSWORD: undefined } })
      assert.strictEqual(without.code, 2)
      assert.match(without.stderr, /basic_auth_user \(--user\) is set without basic_auth_pass/)
      for (const { stderr, stdout } of [some, all, wrong, without])
        assert.notInclude(stderr + stdout, "s3cr3t")
    })
  )

  it.live("reads the embedded demo without configuration, and a second run adds no duplicates", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const cwd = dirname(files.write("x", ""))
      const first = yield* child.run(["run", "--demo", "--to", "jsonl:demo"], { cwd })
      assert.strictEqual(first.code, 0, first.stderr)
      assert.match(first.stdout, /new rows of 76 series in 12 streams/)
      assert.deepStrictEqual(readdirSync(cwd).sort(), ["demo", "x"])
      const before = keysOf(files.path("demo"))
      assert.isAbove(before.size, 50_000)
      const second = yield* child.run(["run", "--demo", "--to", "jsonl:demo"], { cwd })
      assert.strictEqual(second.code, 0, second.stderr)
      const after = keysOf(files.path("demo"))
      assert.deepStrictEqual(
        [...before].filter((key) => !after.has(key)),
        []
      )
      // The second run may start some minutes later, and read new samples.
      assert.isBelow(after.size - before.size, 76 * 10)
    })
  )

  it.live("reads a server into the given folder, creates its parents, and later adds only new rows", () =>
    Effect.gen(function* () {
      const { config } = yield* serve([...gauge("a", 100, 2), ...gauge("b", 50)], 60)
      const files = yield* connector.workspace
      const path = files.write("config.json", config)
      const output = files.path("some/where/data")
      const first = yield* child.run(["run", "--config", path, "--to", `jsonl:${output}`])
      assert.strictEqual(first.code, 0, first.stderr)
      assert.strictEqual(keysOf(output).size, 2 * 60 + 50)
      assert.match(first.stderr, /a\s+2 series\s+120 rows/)
      assert.match(first.stdout, /170 new rows of 3 series in 2 streams/)
      const again = yield* child.run(["run", "--config", path, "--to", `jsonl:${output}`])
      assert.match(again.stdout, /\n0 new rows/)
      files.write("config.json", { ...config, end_date: iso(start + 99 * minute) })
      const more = yield* child.run(["run", "--config", path, "--to", `jsonl:${output}`])
      assert.match(more.stdout, /\n80 new rows/)
      assert.strictEqual(keysOf(output).size, 2 * 100 + 50)
    })
  )

  it.live("prints errors without a stack trace, and exits with 1", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const { config } = yield* serve([], 5)
      const cases = [
        { config: files.path("none.json"), text: /none\.json cannot be read: it does not exist/ },
        {
          config: files.write("a.json", { base_url: "http://h" }),
          text: /start_date \(--start\) is missing/
        },
        { config: files.write("b.json", config), text: /No metric/ },
        {
          config: files.write("c.json", { ...config, base_url: "http://127.0.0.1:9", max_retries: 0 }),
          text: /connection refused/
        }
      ]
      for (const { config, text } of cases) {
        const result = yield* child.run(["run", "--config", config, "--to", `jsonl:${files.path("o")}`])
        assert.deepStrictEqual([result.code, result.stdout], [1, ""])
        assert.match(result.stderr, text)
        assert.notMatch(result.stderr, /\n\s+at /)
      }
    })
  )

  it.live(
    "keeps the complete streams if one fails, names that one, and a later run completes it without duplicates",
    () =>
      Effect.gen(function* () {
        let broken = true
        const fault = onMetric("b", { cutAfterBytes: 9000 }, true)
        const { config } = yield* serve(
          ["a", "b", "c"].flatMap((name) => gauge(name, 300, 5)),
          300,
          { chunkBytes: 500, faults: (request) => (broken ? fault(request) : undefined) },
          { max_retries: 0 }
        )
        const files = yield* connector.workspace
        const args = ["run", "--config", files.write("c.json", config), "--to", `jsonl:${files.path("o")}`]
        const first = yield* child.run(args)
        assert.strictEqual(first.code, 1)
        assert.match(first.stderr, /b\s+FAILED/)
        assert.match(first.stdout, /\n1 of 3 streams failed\. Run again to resume where it stopped\./)
        broken = false
        const second = yield* child.run(args)
        assert.strictEqual(second.code, 0, second.stderr)
        assert.strictEqual(keysOf(files.path("o")).size, 3 * 5 * 300)
      })
  )

  for (const signal of ["SIGKILL", "SIGINT"] as const) {
    it.live(`neither loses nor repeats rows if ${signal} ends it in the middle of a stream`, () =>
      Effect.gen(function* () {
        let broken = true
        // One stream stalls in the middle of a window while the others complete.
        const fault = onMetric("z", { stallAfterBytes: 9000 }, true)
        const { config } = yield* serve(
          ["a", "b", "z"].flatMap((name) => gauge(name, 300, 5)),
          300,
          { chunkBytes: 500, faults: (request) => (broken ? fault(request) : undefined) }
        )
        const files = yield* connector.workspace
        const args = ["run", "--config", files.write("c.json", config), "--to", `jsonl:${files.path("o")}`]
        const running = yield* child.start(args)
        const othersAreDone = Effect.callback<void>((resume) => {
          let text = ""
          running.process.stderr.on("data", (chunk: string) => {
            text += chunk
            if (/ a .*rows/.test(text) && / b .*rows/.test(text)) resume(Effect.void)
          })
        })
        yield* othersAreDone
        running.kill(signal)
        assert.strictEqual((yield* running.result).signal, signal)
        broken = false
        const second = yield* child.run(args)
        assert.strictEqual(second.code, 0, second.stderr)
        assert.strictEqual(keysOf(files.path("o")).size, 3 * 5 * 300)
      })
    )
  }

  it.live("recovers from a first run that was killed before its first window was complete", () =>
    Effect.gen(function* () {
      let broken = true
      const fault = onMetric("m", { stallAfterBytes: 900_000 })
      const { config } = yield* serve(gauge("m", 30, 2000), 30, {
        faults: (request) => (broken ? fault(request) : undefined)
      })
      const files = yield* connector.workspace
      const output = files.path("o")
      const args = ["run", "--config", files.write("c.json", config), "--to", `jsonl:${output}`]
      const running = yield* child.start(args)
      const data = join(output, "m.jsonl")
      const isWritten = Effect.sync(() => existsSync(data) && statSync(data).size > 100_000)
      yield* Effect.repeat(Effect.delay(isWritten, "10 millis"), { until: (yes) => yes })
      running.kill("SIGKILL")
      yield* running.result
      broken = false
      const second = yield* child.run(args)
      assert.strictEqual(second.code, 0, second.stderr)
      assert.strictEqual(keysOf(output).size, 30 * 2000)
    })
  )
})
