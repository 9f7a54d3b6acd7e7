/**
 * The built executable on a real terminal, against a server that sends control sequences wherever it can. Whatever the
 * command, none of them reaches the terminal. The only sequences are those that draw the live picture.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { anyOf, refusal } from "../../src/mock/faults.ts"
import { type MockOptions, MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { Choices } from "../choices.ts"
import * as child from "../support/child.ts"
import { minute, start } from "../support/gauge.ts"
import { onMetric, serveMock } from "../support/mockServer.ts"
import { runOnTerminal } from "../support/terminal.ts"

/** Texts that a terminal would interpret or hide. Each starts with a word that identifies it. */
const attacks = [
  "title\u001b]0;owned\u0007",
  "clipboard\u001b]52;c;cm0gLXJm\u0007",
  "link\u001b]8;;http://evil.example\u001b\\here\u001b]8;;\u001b\\",
  "erase\u001b[2J\u001b[H",
  "hide\u001b[8m",
  "red\u001b[31m",
  "report\u001b[6n",
  "string\u001bPq\u001b\\",
  "reset\u001bc",
  "eight\u009b2J\u009d0;owned\u009c",
  "bell\u0007\b\b\b\u007f\u000e",
  "bidi\u202egnp\u2066\u2069\u200f\u061c",
  "unseen\u200b\u2060\ufeff\u{e0041}",
  "lines\nFORGED line\r\nFORGED\u0085FORGED\u2028FORGED",
  "over\rFORGED"
]

/** The sequences of the live picture. */
const ours = /\u001b\[(?:\?25[lh]|2K|A|0m|1m|2m|3[123]m)|\r(?=\u001b\[2K)/g

const unseen =
  /[\0-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffd\u{e0000}-\u{e0fff}\p{Cs}]/u

/** Asserts that the output has only our own sequences. `\ufffd` would mean bytes that are not UTF-8. */
const assertOurs = (written: string | Buffer, what: string): string => {
  const text = typeof written === "string" ? written : written.toString("utf8")
  const rest = text.replace(ours, "")
  const at = rest.search(unseen)
  assert.strictEqual(at, -1, `${what}: ${JSON.stringify(rest.slice(Math.max(0, at - 200), at + 100))}`)
  assert.notMatch(rest, /^FORGED/m, what)
  // Our own red always precedes a word or a failure mark. The red of an attack does not.
  assert.strictEqual(
    (text.match(/\u001b\[31m/g) ?? []).length,
    (text.match(/\u001b\[31m[✗F\w]/gu) ?? []).length,
    what
  )
  return rest
}

const seed = Number(process.env.TERMINAL_SEED ?? "1")

/** Some attacks in random order. */
const anyText = (choices: Choices): string =>
  Array.from({ length: choices.between(1, 4) }, () => choices.pick(attacks)).join(" ")

const names = Array.from(
  new Set([
    ...attacks,
    ...Array.from({ length: 8 }, (_, i) => anyText(new Choices(seed * 100 + i, 1e9))),
    "plain"
  ])
)

/** A megabyte of JSON, the maximum of a label. */
const long = `${attacks.join(" ")} `.repeat(
  Math.floor(1_000_000 / Buffer.byteLength(JSON.stringify(attacks.join(" "))))
)

/** A server with attacks in its names, labels, types, help texts and units. */
const hostileMock = (options: MockOptions = {}) => {
  const series = names.flatMap((name, i) =>
    [0, 1].map((n) =>
      makeSeries(
        {
          __name__: name,
          [`label ${names[(i + 1) % names.length]}`]: `${name} ${n}`,
          long: i === 0 ? long : ""
        },
        Array.from({ length: 30 }, (_, m) => [start + m * minute, m + n] as const)
      )
    )
  )
  const metadata = names.map(
    (name, i) =>
      [name, { type: attacks[i % attacks.length]!, help: i === 0 ? long : name, unit: name }] as const
  )
  return new MockPrometheus(makeDatabase(series, metadata), {
    version: "3.5.0",
    lookbackMillis: 1000,
    warnings: attacks,
    infos: attacks,
    ...options
  })
}

const files = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "terminal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const setUp = Effect.fnUntraced(function* (options: MockOptions = {}, more: object = {}) {
  const folder = yield* files
  const { config, mock } = yield* serveMock(hostileMock(options), 30, {
    max_retries: 0,
    partial_data: "accept",
    ...more
  })
  const configPath = join(folder, "config.json")
  writeFileSync(configPath, JSON.stringify(config))
  return { configPath, folder, mock }
})

describe("a hostile server", () => {
  it.live("cannot control the terminal of a run that succeeds", () =>
    Effect.gen(function* () {
      const { configPath, folder } = yield* setUp()
      const inside = join(folder, `data ${attacks[3]} ${attacks[11]}`)
      mkdirSync(inside)
      const report = join(inside, "report.html")
      for (const [to, columns] of [
        ["jsonl", 120],
        ["parquet", 80],
        ["duckdb", 60]
      ] as const) {
        const { code, written } = yield* runOnTerminal(
          ["run", "--config", configPath, "--to", `${to}:${join(inside, to)}`, "--report", report],
          { columns }
        )
        const text = assertOurs(written, to)
        assert.strictEqual(code, 0, text)
        for (const word of ["title\\u001b]0;owned\\u0007", "Query it:", "Wrote the report to"]) {
          assert.include(text, columns >= 80 ? word : "Query it:")
        }
      }
      assertOurs(readFileSync(report, "utf8").replace(/<(style|script)\b[\s\S]*?<\/\1>/g, ""), "the report")
      assert.deepStrictEqual(readdirSync(inside).sort(), ["duckdb", "jsonl", "parquet", "report.html"])
    })
  )

  it.live("cannot control the terminal of a run that fails", () =>
    Effect.gen(function* () {
      let failures = 0
      const said = [...attacks, long, ...attacks.map((attack) => `<html><title>${attack}</title>`)]
      const { configPath, folder } = yield* setUp(
        {
          faults: ({ path }) => {
            if (!path.endsWith("/query_range")) return undefined
            const error = said[failures++ % said.length]!
            const status = [400, 422, 503, 429][failures % 4]!
            return failures % 3 === 0
              ? { status, body: error, headers: { "content-type": "text/html" } }
              : refusal(status, error)
          }
        },
        { max_retries: 1, max_retry_time: 2 }
      )
      const { code, written } = yield* runOnTerminal(
        ["run", "--config", configPath, "--to", `jsonl:${join(folder, "out")}`],
        { columns: 100 }
      )
      const text = assertOurs(written, "a failed run")
      assert.strictEqual(code, 1, text)
      assert.include(text, "FAILED")
      const plain = yield* child.run(["run", "--config", configPath, "--to", `jsonl:${join(folder, "two")}`])
      assertOurs(plain.stderr, "the log of a failed run")
      assertOurs(plain.stdout, "the summary of a failed run")
    })
  )

  it.live("cannot control the terminal with the output of check, discover, a dry run or --json", () =>
    Effect.gen(function* () {
      const { configPath, folder } = yield* setUp()
      for (const args of [
        ["discover", "--config", configPath],
        ["check", "--config", configPath],
        ["run", "--config", configPath, "--dry-run"],
        ["run", "--config", configPath, "--dry-run", "--json"],
        ["run", "--config", configPath, "--to", `jsonl:${join(folder, "json")}`, "--json"]
      ]) {
        const { code, written } = yield* runOnTerminal(args)
        const text = assertOurs(written, args.join(" "))
        assert.strictEqual(code, 0, text)
        const { stderr, stdout } = yield* child.run([...args, ...(args[0] === "run" ? [] : ["--human"])])
        assertOurs(stderr, args.join(" "))
        assertOurs(stdout, args.join(" "))
        if (!args.includes("--json")) continue
        // Programs get the original names.
        const { streams } = JSON.parse(stdout) as { streams: ReadonlyArray<{ name: string }> }
        assert.sameMembers(
          streams.map(({ name }) => name),
          names
        )
      }
    })
  )

  it.live("cannot control the terminal with its errors", () =>
    Effect.gen(function* () {
      for (const attack of attacks) {
        const { configPath } = yield* setUp({
          faults: anyOf(() => ({ status: 500, body: attack, headers: { "content-type": "text/plain" } }))
        })
        const { code, written } = yield* runOnTerminal(["check", "--config", configPath])
        const text = assertOurs(written, attack)
        assert.strictEqual(code, 1, text)
        assert.include(text, "500")
      }
    })
  )
})

describe("a command line with control sequences", () => {
  it.live("is escaped in messages, so that a terminal does not interpret it", () =>
    Effect.gen(function* () {
      const folder = yield* files
      // File names cannot contain a slash.
      const all = attacks.join(" ").replaceAll("/", "")
      const broken = join(folder, `broken ${attacks[3]}`)
      writeFileSync(broken, '{"base_url": "\u001b[2J')
      const lines: ReadonlyArray<ReadonlyArray<string>> = [
        [all],
        ["run", all],
        ["run", `--${all}`],
        ["run", "--url", all],
        ["run", "--url", `http://127.0.0.1:1/${all}`, "--start", "2026-01-01"],
        ["run", "--to", all],
        ["run", "--mode", all],
        ["run", "--memory", all],
        ["run", "--every", all],
        ["run", "--select", `(${all}`],
        ["run", "--config", join(folder, all)],
        ["run", "--config", join(folder, "missing", attacks[11]!)],
        ["run", "--config", broken],
        ["run", "--report", join(folder, attacks[3]!, "x")],
        ["check", "--config", join(folder, attacks[3]!)],
        ["discover", "--config", broken],
        ["read", all],
        ["--completions", all]
      ]
      for (const args of lines) {
        const { code, written } = yield* runOnTerminal(args, { cwd: folder })
        const text = assertOurs(written, JSON.stringify(args))
        assert.include([1, 2], code, text)
        assert.notInclude(text, "a bug in source-prometheus")
      }
    })
  )
})

describe("a run that is stopped while it draws", () => {
  it.live("shows the cursor again, at the start of a line", () =>
    Effect.gen(function* () {
      const { configPath, folder } = yield* setUp({
        faults: onMetric("plain", { delayMillis: Number.POSITIVE_INFINITY })
      })
      for (const columns of [60, 120]) {
        const { code, written } = yield* runOnTerminal(
          ["run", "--config", configPath, "--to", `jsonl:${join(folder, "out")}`, "--select", "plain"],
          { columns, interruptAt: "querying" }
        )
        const text = written.toString("utf8")
        assertOurs(text.replace("^C", ""), "a stopped run")
        assert.strictEqual(code, 130, text)
        const hidden = text.lastIndexOf("\u001b[?25l")
        assert.isAtLeast(hidden, 0)
        assert.isAbove(text.lastIndexOf("\u001b[?25h"), hidden)
        // The live picture is erased, so the output of the shell starts at the start of a line.
        assert.match(text, /(?:\n|\u001b\[2K)(?:\u001b\[\?25h)?$/)
      }
    })
  )
})
