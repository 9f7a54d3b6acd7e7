/** The script that builds servers, with a program in place of the Go client. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { build, built, releases, serversFolder } from "../../scripts/servers.ts"
import * as connector from "../support/connector.ts"

const release = releases.prometheus

/** A folder for programs, and a Go client that runs a script with `$GOBIN`, where its programs are to be. */
const machine = Effect.map(connector.workspace, (files) => {
  const go = (script: string): string => {
    const path = files.write(
      "go",
      `#!/bin/sh\n[ "$1" = version ] && exit 0\necho "$@" >> ${files.path("calls")}\n${script}\n`
    )
    chmodSync(path, 0o755)
    return path
  }
  return {
    go,
    folder: files.path("servers"),
    calls: (): ReadonlyArray<string> =>
      existsSync(files.path("calls")) ? readFileSync(files.path("calls"), "utf8").trimEnd().split("\n") : []
  }
})

const write = (name: string): string => `echo ${name} $$ > $GOBIN/${name}; chmod +x $GOBIN/${name}`
const both = `${write("prometheus")}; ${write("promtool")}`

describe("the script that builds servers", () => {
  it.live("builds the programs of a release once, at their versions", () =>
    Effect.gen(function* () {
      const { calls, folder, go } = yield* machine
      const options = { folder, go: go(both) }
      assert.isUndefined(yield* Effect.promise(() => built(release, options)))
      const programs = yield* Effect.promise(() => build(release, options))
      assert.deepStrictEqual([...programs.keys()], ["prometheus", "promtool"])
      for (const [name, path] of programs) assert.match(readFileSync(path, "utf8"), new RegExp(`^${name} `))
      assert.deepStrictEqual(yield* Effect.promise(() => build(release, options)), programs)
      assert.deepStrictEqual(calls(), [
        `install -tags netgo,remove_all_sd ${release.module}/cmd/prometheus@${release.version} ${release.module}/cmd/promtool@${release.version}`
      ])
      assert.lengthOf(readdirSync(folder), 1)
    })
  )

  it.live("leaves nothing of a build that fails, and says what to do", () =>
    Effect.gen(function* () {
      const { folder, go } = yield* machine
      const options = { folder, go: go(`${write("prometheus")}; echo no such proxy >&2; exit 1`) }
      const error = yield* Effect.flip(Effect.tryPromise(() => build(release, options)))
      assert.match(
        (error.cause as Error).message,
        /^"go install .*@v[\d.]+" failed\. Check that Go is recent enough.* PROMETHEUS_3_BIN .*\nno such proxy$/
      )
      assert.deepStrictEqual(readdirSync(folder), [])
      assert.isUndefined(yield* Effect.promise(() => built(release, options)))
      yield* Effect.promise(() => build(release, { folder, go: go(both) }))
    })
  )

  it.live("says how to get Go if it is missing", () =>
    Effect.gen(function* () {
      const { folder } = yield* machine
      const options = { folder, go: join(folder, "no-such-go") }
      const error = yield* Effect.flip(Effect.tryPromise(() => build(releases.victoriaMetrics, options)))
      assert.match(
        (error.cause as Error).message,
        /^The program "go" is missing, .* Install Go .* Or set VICTORIA_METRICS_CURRENT_BIN to ready programs\.$/
      )
      assert.isFalse(existsSync(folder))
    })
  )

  it.live("can run several times at once, and never takes a part of a build", () =>
    Effect.gen(function* () {
      const { folder, go } = yield* machine
      const options = { folder, go: go(`${write("prometheus")}; sleep 0.2; ${write("promtool")}`) }
      const seen: Array<boolean> = []
      const isFinished = { value: false }
      const builds = Effect.all(
        [0, 1, 2].map(() => Effect.promise(() => build(release, options))),
        { concurrency: "unbounded" }
      ).pipe(Effect.tap(() => Effect.sync(() => (isFinished.value = true))))
      const watch = Effect.promise(async () => {
        while (!isFinished.value) {
          const programs = await built(release, options)
          if (programs !== undefined) {
            seen.push([...programs.values()].every((path) => readFileSync(path, "utf8") !== ""))
          }
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      })
      const [all] = yield* Effect.all([builds, watch], { concurrency: "unbounded" })
      assert.deepStrictEqual(all[1], all[0])
      assert.deepStrictEqual(all[2], all[0])
      assert.notInclude(seen, false)
      assert.lengthOf(readdirSync(folder), 1)
    })
  )

  it.live("replaces programs that are empty, and removes what killed builds left a day ago", () =>
    Effect.gen(function* () {
      const { folder, go } = yield* machine
      const options = { folder, go: go(both) }
      const programs = yield* Effect.promise(() => build(release, options))
      writeFileSync(programs.get("promtool")!, "")
      const left = (name: string, age: number): void => {
        mkdirSync(join(folder, name))
        const time = Date.now() / 1000 - age
        utimesSync(join(folder, name), time, time)
      }
      left(".unfinished-old", 100_000)
      left(".unfinished-running", 10)
      assert.isUndefined(yield* Effect.promise(() => built(release, options)))
      yield* Effect.promise(() => build(release, options))
      assert.match(readFileSync(programs.get("promtool")!, "utf8"), /^promtool /)
      assert.deepStrictEqual(
        readdirSync(folder).filter((name) => name.startsWith(".")),
        [".unfinished-running"]
      )
    })
  )

  it("keeps programs in the user's cache", () => {
    assert.strictEqual(serversFolder({ XDG_CACHE_HOME: "/x" }), join("/x", "source-prometheus", "servers"))
    for (const XDG_CACHE_HOME of [undefined, "", "relative"]) {
      const folder = serversFolder({ ...(XDG_CACHE_HOME === undefined ? {} : { XDG_CACHE_HOME }) })
      assert.match(folder, /\/\.cache\/source-prometheus\/servers$/)
    }
  })
})
