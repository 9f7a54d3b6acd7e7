/** A `~` that no shell expands, as in `--to parquet:~/metrics`, means the home folder wherever a flag names a file. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import { gauge } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"

const folders = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "home-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  ),
  (root) => {
    const [home, cwd] = [join(root, "home"), join(root, "work")] as const
    mkdirSync(home)
    mkdirSync(cwd)
    return { cwd, home }
  }
)

describe("a ~ in a flag", () => {
  it.live.each(["duckdb", "parquet", "jsonl"])("is the home folder, with %s", (format) =>
    Effect.gen(function* () {
      const { cwd, home } = yield* folders
      const { config } = yield* serve(gauge("up", 10), 10, {}, { basic_auth_user: "u" })
      writeFileSync(join(home, "config.json"), JSON.stringify(config))
      writeFileSync(join(home, "password"), "p")
      const args = ["--config", "~/config.json", "--password-file", "~/password", "--to", `${format}:~/data`]
      const run = (...more: ReadonlyArray<string>) =>
        child.run(["run", ...args, ...more], { cwd, env: { HOME: home } })
      const dry = yield* run("--dry-run")
      assert.strictEqual(dry.code, 0, dry.stderr)
      const first = yield* run("--report", "~/report.html")
      assert.strictEqual(first.code, 0, first.stderr)
      // The second run finds the same destination.
      const second = yield* run()
      assert.include(second.stdout, "0 new rows")
      const beside = (name: string) => ![".cache", "data.wal"].includes(name)
      assert.deepStrictEqual(readdirSync(home).filter(beside).sort(), [
        "config.json",
        "data",
        "password",
        "report.html"
      ])
      assert.deepStrictEqual(readdirSync(cwd), [])
    })
  )

  it.live("is refused for another user's home folder, or if HOME is not set", () =>
    Effect.gen(function* () {
      const { cwd, home } = yield* folders
      const refused = Effect.fnUntraced(function* (
        args: ReadonlyArray<string>,
        home: string | undefined,
        why: RegExp
      ) {
        const { code, stderr } = yield* child.run(args, { cwd, env: { HOME: home, USERPROFILE: undefined } })
        assert.include([1, 2], code)
        assert.match(stderr, why)
      })
      const url = ["--url", "http://127.0.0.1:9", "--start", "2026-01-01"]
      yield* refused(
        ["run", ...url, "--to", "jsonl:~ada/x"],
        home,
        /^--to is "jsonl:~ada\/x", but only ~\/ stands for/
      )
      yield* refused(
        ["run", ...url, "--to", "jsonl:~/x"],
        undefined,
        /^--to is "jsonl:~\/x", but HOME is not set/
      )
      yield* refused(["run", ...url, "--report", "~ada"], home, /^--report is "~ada", but .* or \.\/~ada for/)
      yield* refused(
        ["run", "--config", "~ada"],
        home,
        /^The configuration file ~ada cannot be read: only ~\//
      )
      yield* refused(["check", "--config", "~/c", "--human"], undefined, /cannot be read: HOME is not set/)
      assert.deepStrictEqual(readdirSync(cwd), [])
      assert.isFalse(existsSync(join(home, "x")))
    })
  )
})
