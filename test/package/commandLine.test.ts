/** The command line, command by command: help, mistakes, exit codes, and completions in a real shell. */
import { execFileSync, spawnSync } from "node:child_process"
import { symlinkSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge } from "../support/gauge.ts"
import { refusal, serve } from "../support/mockServer.ts"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

/** Runs a command to completion. Returns its standard output. */
const print = (...args: ReadonlyArray<string>): string =>
  execFileSync(process.execPath, [executable, ...args], { encoding: "utf8" })

/** The text under a heading of a help page. */
const section = (help: string, heading: string): string =>
  new RegExp(`^${heading}\\n(.*?)(?=^[A-Z]|(?![^]))`, "ms").exec(help)?.[1] ?? ""

/** The first words of the lines of a section. */
const namesIn = (help: string, heading: string): ReadonlyArray<string> =>
  Array.from(section(help, heading).matchAll(/^ {2}(\S+)/gm), ([, name]) => name!)

const commands = namesIn(print("--help"), "SUBCOMMANDS")

const helps = new Map(["", ...commands].map((command) => [command, print(...words(command), "--help")]))

function words(command: string): ReadonlyArray<string> {
  return command === "" ? [] : [command]
}

const flagsOf = (command: string): ReadonlyArray<string> => namesIn(helps.get(command)!, "FLAGS")

it("has the commands of README", () => {
  assert.includeMembers([...commands], ["spec", "check", "discover", "read", "run"])
})

describe.each([...helps])("the help of '%s'", (command, help) => {
  it("has examples, whose flags exist", () => {
    const examples = section(help, "EXAMPLES")
    const lines = Array.from(examples.matchAll(/^ {2}(source-prometheus.*)$/gm), ([, line]) => line!)
    assert.isNotEmpty(lines)
    for (const line of lines) {
      const [, name = ""] = line.split(" ")
      const own = name.startsWith("-") ? "" : name
      if (command !== "") assert.strictEqual(own, command)
      const known = [...flagsOf(own), ...namesIn(helps.get(own)!, "GLOBAL FLAGS")]
      for (const [flag] of line.matchAll(/(?<= )--[a-z-]+/g)) assert.include(known, flag, line)
    }
    // Each has a comment about its purpose.
    assert.strictEqual([...examples.matchAll(/^ {2}# \S/gm)].length, lines.length)
  })

  it("describes every flag", () => {
    for (const line of section(help, "FLAGS").split("\n")) {
      if (line !== "") assert.match(line, /^ {2}--[a-z-]+(, -\w)?( \S+)? {2,}[A-Z'"<].+/)
    }
  })
})

it("lists the exit codes", () => {
  assert.match(helps.get("")!, /Exit codes: 0 .* 1 .* 2 /)
})

describe.each(commands.map((command) => ({ command })))("a mistake in $command", ({ command }) => {
  /** The printed error: a protocol message of the protocol's commands, or the standard error of all others. */
  const reported = (...args: ReadonlyArray<string>) => {
    const { status, stderr, stdout } = spawnSync(process.execPath, [executable, command, ...args], {
      encoding: "utf8"
    })
    const text = stdout === "" ? stderr : `${JSON.parse(stdout).trace.error.message}\n`
    if (stdout !== "") assert.strictEqual(stderr, "")
    return { status, text }
  }

  const required = flagsOf(command).flatMap((flag) => (/^--(config|catalog)$/.test(flag) ? [flag, "x"] : []))

  it("in a flag's name yields the correct name as a hint", () => {
    const [flag] = flagsOf(command)
    const wrong = `${flag!.slice(0, -2)}${flag!.at(-1)}`
    const { status, text } = reported(wrong, "x")
    assert.strictEqual(status, 2)
    assert.include(text, `source-prometheus ${command} has no flag ${wrong}. Did you mean ${flag}?`)
    assert.match(text, new RegExp(`^[^\\n]* See source-prometheus ${command} --help\\.\\n$`))
  })

  it("of extra words yields a hint about patterns that the shell expanded", () => {
    const { status, text } = reported(...required, "node_cpu", "node_load")
    assert.strictEqual(status, 2)
    assert.match(text, /"node_cpu", "node_load": quote patterns/)
  })

  it("of a missing flag value is reported with the flag", () => {
    const help = section(helps.get(command)!, "FLAGS")
    for (const [, flag] of help.matchAll(/^ {2}(--[a-z-]+) (?:[A-Z]+|string) /gm)) {
      const { status, text } = reported(flag!)
      assert.strictEqual(status, 2)
      assert.include(text, `Missing value for flag ${flag}.`)
    }
  })
})

describe("the exit code", () => {
  it.live("is specific to each kind of outcome", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const { config } = yield* serve([...gauge("a", 5), ...gauge("b", 5)], 5)
      const partly = yield* serve(
        [...gauge("a", 5), ...gauge("b", 5)],
        5,
        { faults: ({ params }) => (params.get("query")?.includes('"b"') ? refusal : undefined) },
        { max_retries: 0 }
      )
      const good = files.write("good.json", config)
      const cwd = dirname(good)
      const bad = files.write("bad.json", { ...config, step: "x" })
      const catalog = files.write("catalog.json", connector.catalogOf("a", "b"))
      const table: ReadonlyArray<readonly [number, ReadonlyArray<string>]> = [
        [0, ["--help"]],
        [0, ["--version"]],
        [0, ["--completions", "fish"]],
        [0, ["spec"]],
        [0, ["check", "--config", good]],
        [0, ["check", "--config", good, "--human"]],
        [0, ["discover", "--config", good]],
        [0, ["read", "--config", good, "--catalog", catalog]],
        [0, ["run", "--config", good]],
        // The result is a protocol message, so the command itself succeeds.
        [0, ["check", "--config", bad]],
        [1, ["check", "--config", bad, "--human"]],
        [1, ["discover", "--config", bad]],
        [1, ["discover", "--config", files.path("none.json")]],
        [1, ["read", "--config", good, "--catalog", files.path("none.json")]],
        [1, ["read", "--config", files.write("partly.json", partly.config), "--catalog", catalog]],
        [1, ["run", "--config", bad]],
        [2, ["run", "--url", "nonsense", "--start", "2026-01-01"]],
        [2, []],
        [2, ["rn"]],
        [2, ["--colour"]],
        [2, ["--completions", "tcsh"]],
        [2, ["read", "--config", good]],
        [2, ["check", "--config", good, "--config", good]],
        [2, ["run", "--nothing"]]
      ]
      for (const [code, args] of table) {
        const result = yield* child.run(args, { cwd })
        assert.strictEqual(
          result.code,
          code,
          `${args.join(" ")}\n${result.stdout.slice(-500)}${result.stderr}`
        )
        if (code === 0) continue
        // Every error is printed somewhere.
        assert.notStrictEqual(result.stdout + result.stderr, "")
      }
    })
  )

  it.live("is 128 plus the signal's number, as in a shell", () =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("m", 5), 5, {
        faults: () => ({ delayMillis: Number.POSITIVE_INFINITY })
      })
      const files = yield* connector.workspace
      const path = files.write("config.json", config)
      // The server never responds, so the signal cannot arrive too late.
      const script = `"$0" "$1" run --config "$2" & sleep 1; kill -TERM $!; wait $!`
      const { status } = spawnSync("bash", ["-c", script, process.execPath, executable, path], {
        cwd: dirname(path)
      })
      assert.strictEqual(status, 143)
    })
  )
})

describe("completions", () => {
  /** The completions that a real bash offers for the last word of a line. */
  const complete = (line: string, name = "source-prometheus", script = print("--completions", "bash")) => {
    const words = line.split(" ")
    const program = `${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=${words.length - 1}
COMP_LINE='${line}'
COMP_POINT=\${#COMP_LINE}
completer=$(complete -p ${name} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$completer" ${name} '${words.at(-1)}' '${words.at(-2) ?? ""}'
printf '%s\\n' "\${COMPREPLY[@]}"`
    return execFileSync("bash", ["--norc", "-c", program], { encoding: "utf8", cwd: dirname(executable) })
      .split("\n")
      .map((word) => word.trim())
      .filter((word) => word !== "")
  }

  it("for bash are a valid script", () => {
    const { status, stderr } = spawnSync("bash", ["-n"], {
      input: print("--completions", "bash"),
      encoding: "utf8"
    })
    assert.deepStrictEqual([status, stderr], [0, ""])
  })

  it("complete commands in bash", () => {
    assert.sameMembers(complete("source-prometheus "), [...commands])
    assert.deepStrictEqual(complete("source-prometheus disc"), ["discover"])
  })

  it.each(commands)("complete the flags of %s in bash, except the ones already present", (command) => {
    const flags = flagsOf(command)
    const offered = complete(`source-prometheus ${command} --`)
    assert.includeMembers(offered, [...flags])
    const [first] = flags
    assert.notInclude(complete(`source-prometheus ${command} ${first} --`), first)
  })

  it("complete file names in bash", () => {
    assert.deepStrictEqual(complete("source-prometheus check --config main"), ["main.mjs"])
    assert.deepStrictEqual(complete("source-prometheus run --report main"), ["main.mjs"])
  })

  it.each(["zsh", "fish", "powershell"])("for %s contain all commands and their flags", (shell) => {
    const script = print("--completions", shell)
    for (const command of commands) {
      assert.include(script, command)
      for (const flag of flagsOf(command)) assert.include(script, flag.replace(/^--/, ""))
    }
  })

  it.live("are for the name by which the program was started", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const effect = files.path("effect")
      symlinkSync(executable, effect)
      const script = execFileSync(process.execPath, [effect, "--completions", "bash"], { encoding: "utf8" })
      assert.deepStrictEqual(complete("effect disc", "effect", script), ["discover"])
    })
  )
})
