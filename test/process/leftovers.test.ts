/** The leftovers of a stopped run: the next run removes all of them. */
import { mkdirSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { assertRows, expected, formats, rowsOf, serveSome, treeOf } from "./destinations.ts"

/** Fractions of a run's duration: while it loads the program, opens the destination, writes data, and ends. */
const MOMENTS = 10

describe("a run that is stopped at any moment", { concurrent: true }, () => {
  for (const format of formats) {
    const stop = Effect.gen(function* () {
      const { all } = yield* serveSome
      const files = yield* connector.workspace
      const config = files.write("config.json", all)
      const argsIn = (folder: string) => {
        mkdirSync(files.path(folder), { recursive: true })
        return ["run", "--config", config, "--to", `${format}:${files.path(folder)}/data`]
      }
      const before = performance.now()
      assert.strictEqual((yield* child.run(argsIn("clean"))).code, 0)
      const millis = performance.now() - before
      const clean = treeOf(files.path("clean"))
      let stopped = 0
      for (let moment = 0; moment < MOMENTS; moment++) {
        const signal = moment % 2 === 0 ? "SIGKILL" : "SIGTERM"
        const folder = `after-${moment}`
        const what = `after ${moment} of ${MOMENTS} parts of the time, by ${signal}`
        yield* Effect.scoped(
          Effect.gen(function* () {
            const running = yield* child.start(argsIn(folder))
            yield* Effect.sleep((millis * moment) / MOMENTS)
            running.kill(signal)
            if ((yield* running.result).signal === signal) stopped++
          })
        )
        const next = yield* child.run(argsIn(folder))
        assert.deepStrictEqual([next.code, next.signal], [0, null], `${what}: ${next.stderr}`)
        assert.deepStrictEqual(treeOf(files.path(folder)), clean, what)
        const rows = yield* Effect.promise(() => rowsOf(format, `${files.path(folder)}/data`))
        assertRows(rows, expected.all, what)
      }
      assert.isAtLeast(stopped, MOMENTS / 4)
    })
    it.live(`leaves nothing behind once the next run is complete: ${format}`, () => stop, {
      timeout: 900_000
    })
  }
})
