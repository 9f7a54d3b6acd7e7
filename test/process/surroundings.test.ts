/** The built program in any environment: as any user, in any locale, with few resources. */
import { existsSync, mkdirSync, readdirSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { assertRows, expected, formats, rowsOf, serveSome } from "./destinations.ts"
import { execute, isRoot, movedTo, program, repository, STRANGER, sh } from "./machine.ts"

/** The arguments of each of the program's functions, and the folder that it writes to. */
const commands = Effect.gen(function* () {
  const { all } = yield* serveSome
  const files = yield* connector.workspace
  const folder = files.path("out")
  mkdirSync(folder)
  const config = files.write("config.json", all)
  const withConfig = (verb: string) => [verb, "--config", config]
  return {
    files,
    folder,
    config,
    verbs: [
      ["spec"],
      withConfig("check"),
      withConfig("discover"),
      [...withConfig("read"), "--catalog", files.write("catalog.json", connector.catalogOf("one", "three"))]
    ],
    runs: formats.map((format) => ({
      format,
      path: `${folder}/${format}`,
      args: [...withConfig("run"), "--to", `${format}:${folder}/${format}`]
    }))
  }
})

/** Each test starts the program seven times: the timeout only protects against a hang. */
const PATIENCE = { timeout: 900_000 }

type Result = Pick<child.ChildResult, "code" | "signal" | "stdout" | "stderr">

/** Runs all commands in a given way, and checks their output. */
const assertWorks = Effect.fnUntraced(function* (
  start: (args: ReadonlyArray<string>, folder: string) => Effect.Effect<Result>
) {
  const { folder, runs, verbs } = yield* commands
  for (const args of verbs) {
    const result = yield* start(args, folder)
    assert.deepStrictEqual([result.code, result.signal, result.stderr], [0, null, ""], args[0]!)
    const output = connector.parseOutput({ ...result, messages: [] })
    if (args[0] === "read") assert.strictEqual(output.records.length, expected.all.length)
    else assert.isTrue(result.stdout.startsWith("{"), args[0]!)
  }
  for (const { args, format, path } of runs) {
    const result = yield* start(args, folder)
    assert.deepStrictEqual([result.code, result.signal], [0, null], `${format}: ${result.stderr}`)
    assertRows(yield* Effect.promise(() => rowsOf(format, path)), expected.all, format)
  }
})

const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  execute(program(...args), { env, cwd: "/" })

describe("the program works", { concurrent: true }, () => {
  const environments: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    "without any variables": {},
    "in the C locale, in a time zone": { LC_ALL: "C", LANG: "C", TZ: "Asia/Kathmandu" },
    "in a time zone that does not exist": { TZ: "Nowhere/Never", HOME: "/missing" }
  }
  for (const [name, env] of Object.entries(environments)) {
    it.live(name, () => assertWorks((args) => start(args, env)), PATIENCE)
  }

  it.live.runIf(process.platform === "linux")(
    "with 64 files",
    () => assertWorks((args) => execute(sh('ulimit -n 64; exec "$@"', program(...args)), { cwd: "/" })),
    PATIENCE
  )

  describe.runIf(isRoot)("in its own mount namespace", { concurrent: true }, () => {
    it.live("as an unknown user", () =>
      assertWorks((args, folder) =>
        // That user may not have access to the repository's own path.
        execute(
          sh(
            `set -e
             chmod 777 "$folder"; chmod 755 "$(dirname "$folder")"
             mount --bind "$repository" /mnt
             cd /
             exec setpriv --reuid ${STRANGER} --regid ${STRANGER} --clear-groups "$@"`,
            movedTo("/mnt", program(...args))
          ),
          { env: { folder, repository }, unshare: true }
        )
      )
    )

    it.live("if only its destination can be written", () =>
      assertWorks((args, folder) =>
        execute(
          sh(
            `set -e
             mount --bind "$folder" "$folder"
             mount --rbind / /mnt
             mount -o remount,bind,ro /mnt
             exec chroot /mnt "$@"`,
            program(...args)
          ),
          { env: { folder, HOME: "/root" }, unshare: true }
        )
      )
    )

    it.live("or reports that the disk is read-only", () =>
      Effect.gen(function* () {
        const { folder, runs } = yield* commands
        for (const { args, format } of runs) {
          const result = yield* execute(
            sh(
              `set -e
               mount --rbind / /mnt
               mount -o remount,bind,ro /mnt
               exec chroot /mnt "$@"`,
              program(...args)
            ),
            { unshare: true }
          )
          assert.deepStrictEqual([result.code, result.stdout], [1, ""], format)
          assert.match(result.stderr, /read-only/, format)
          assert.notMatch(result.stderr, /mistake|bug/, format)
        }
        assert.deepStrictEqual(readdirSync(folder), [])
      })
    )
  })
})

describe.runIf(process.platform === "linux")("with too few open files", () => {
  it.live("it reports how many it needs", () =>
    Effect.gen(function* () {
      const { runs, verbs } = yield* commands
      const message =
        "This process may open 40 files at a time and needs 64: raise the limit (ulimit -n 64, or more)."
      const withFew = (args: ReadonlyArray<string>) =>
        execute(sh('ulimit -n 40; exec "$@"', program(...args)), { cwd: "/" })
      for (const args of verbs) {
        const result = yield* withFew(args)
        if (args[0] === "spec") {
          assert.deepStrictEqual([result.code, result.stderr], [0, ""])
          continue
        }
        const { errors } = connector.parseOutput({ ...result, messages: [] })
        assert.deepStrictEqual(
          [result.code, result.stderr, errors.map(({ failure_type, message }) => [failure_type, message])],
          [1, "", [["system_error", message]]]
        )
      }
      const [run] = runs
      const result = yield* withFew(run!.args)
      assert.deepStrictEqual([result.code, result.stdout, result.stderr], [1, "", `${message}\n`])
      assert.isFalse(existsSync(run!.path))
    })
  )
})

describe.runIf(process.platform === "linux")("output that cannot be written", () => {
  it.live("is an error of every command", () =>
    Effect.gen(function* () {
      const { config, runs, verbs } = yield* commands
      const toFull = (args: ReadonlyArray<string>) => execute(sh('exec "$@" > /dev/full', program(...args)))
      for (const args of verbs) {
        const result = yield* toFull(args)
        assert.deepStrictEqual(
          [result.code, result.stderr],
          [1, "Cannot write to standard output: ENOSPC.\n"],
          args[0]!
        )
      }
      const forPeople = [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["--completions", "bash"],
        ["check", "--config", config, "--human"],
        ["discover", "--config", config, "--human"],
        ["run", "--config", config, "--dry-run"],
        runs[2]!.args
      ]
      for (const args of forPeople) {
        const result = yield* toFull(args)
        assert.strictEqual(result.code, 1, args.join(" "))
        assert.match(result.stderr, /^Cannot write to standard output: ENOSPC\.$/m, args.join(" "))
        assert.notMatch(result.stderr, /mistake|bug/)
      }
      // The data was committed before the summary.
      assertRows(yield* Effect.promise(() => rowsOf("jsonl", runs[2]!.path)), expected.all, "jsonl")
    })
  )

  it.live("does not end a run if only progress cannot be printed", () =>
    Effect.gen(function* () {
      const { runs } = yield* commands
      for (const to of ["/dev/full", "&-"]) {
        const { args, path } = runs[2]!
        const result = yield* execute(sh(`exec "$@" 2> ${to}`.replace("> &-", ">&-"), program(...args)))
        assert.deepStrictEqual([result.code, result.signal, result.stderr], [0, null, ""], to)
        assert.match(result.stdout, /jsonl/)
        assertRows(yield* Effect.promise(() => rowsOf("jsonl", path)), expected.all, to)
      }
    })
  )
})

it.live("the program exits when it has done its work, even if something in its process still waits", () =>
  Effect.gen(function* () {
    const { config, verbs } = yield* commands
    const waits = "data:text/javascript,setInterval(() => {}, 1e6)"
    for (const args of [...verbs, ["check", "--human", "--config", config], ["--version"]]) {
      const result = yield* child.run(args, { nodeOptions: ["--import", waits] })
      assert.deepStrictEqual([result.code, result.signal], [0, null], `${args[0]}: ${result.stderr}`)
      assert.notStrictEqual(result.stdout + result.stderr, "")
    }
  })
)

describe("a folder that has been removed", () => {
  it.live("as the current folder is an error with a clear message", () =>
    Effect.gen(function* () {
      const { config, files } = yield* commands
      mkdirSync(files.path("gone"))
      const result = yield* execute(
        sh('cd "$gone"; rmdir "$gone"; exec "$@"', program("run", "--config", config, "--to", "jsonl:data")),
        { env: { gone: files.path("gone") } }
      )
      assert.deepStrictEqual(
        [result.code, result.stdout, result.stderr],
        [1, "", "The current folder no longer exists. Change to another one.\n"]
      )
    })
  )
})
