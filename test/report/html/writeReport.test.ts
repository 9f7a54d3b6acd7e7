/** Reports are written atomically, and never through a planted link. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { checkReportPath, writeReport } from "../../../src/report/html/writeReport.ts"
import { temporaryFolder } from "../../destinations/drive.ts"
import { runOf, streamOf } from "../summaries.ts"

const summary = runOf([streamOf("up")])

describe("writeReport", () => {
  it.live("follows no link, neither one beside the report nor one in its place", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const precious = join(folder, "precious")
      writeFileSync(precious, "precious")
      const report = join(folder, "report.html")
      for (const name of ["report.html.new", ".report.html.new", "report.html"]) {
        symlinkSync(precious, join(folder, name))
      }
      yield* checkReportPath(report)
      yield* writeReport(report, summary)
      assert.strictEqual(readFileSync(precious, "utf8"), "precious")
      assert.isTrue(lstatSync(report).isFile())
      assert.match(readFileSync(report, "utf8"), /^<!doctype html>/i)
      assert.sameMembers(readdirSync(folder), [
        "precious",
        "report.html",
        "report.html.new",
        ".report.html.new"
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("leaves nothing behind if it cannot write", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const report = join(folder, "report.html")
      mkdirSync(report)
      const error = yield* Effect.flip(checkReportPath(report))
      assert.match(error.message, /is a folder, and --report wants a file/)
      yield* Effect.flip(writeReport(report, summary))
      assert.deepStrictEqual(readdirSync(folder), ["report.html"])
      const missing = yield* Effect.flip(writeReport(join(folder, "none", "report.html"), summary))
      assert.match(missing.message, /its folder does not exist/)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
