/** Reports are written atomically, and never through a planted link. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { checkReport, writeReport } from "../../../src/report/html/writeReport.ts"
import { temporaryFolder } from "../../destinations/drive.ts"
import { runOf, streamOf } from "../summaries.ts"

const summary = runOf([streamOf("up")])

const destination = { name: "duckdb:up.duckdb", path: "up.duckdb", kind: { owns: () => false } }

describe("writeReport", () => {
  it.live("follows no link, neither one beside the report nor one in its place", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const precious = join(folder, "precious")
      const content = "<!doctype html>precious"
      writeFileSync(precious, content)
      const report = join(folder, "report.html")
      for (const name of ["report.html.new", ".report.html.new", "report.html"]) {
        symlinkSync(precious, join(folder, name))
      }
      yield* checkReport(report, destination)
      yield* writeReport(report, summary)
      assert.strictEqual(readFileSync(precious, "utf8"), content)
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
      const error = yield* Effect.flip(checkReport(report, destination))
      assert.match(error.message, /is a folder, and --report wants a file/)
      yield* Effect.flip(writeReport(report, summary))
      assert.deepStrictEqual(readdirSync(folder), ["report.html"])
      const missing = yield* Effect.flip(writeReport(join(folder, "none", "report.html"), summary))
      assert.match(missing.message, /its folder does not exist/)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("refuses a report in the destination, or in place of a file of others", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const report = join(folder, "report.html")
      const refusal = (owns = false) =>
        Effect.map(Effect.flip(checkReport(report, { ...destination, kind: { owns: () => owns } })), String)
      writeFileSync(report, "")
      yield* checkReport(report, destination)
      writeFileSync(report, "\n<HTML>")
      yield* checkReport(report, destination)
      assert.match(
        yield* refusal(true),
        /which is in the destination duckdb:up\.duckdb\. Choose another file/
      )
      writeFileSync(report, "{}")
      assert.match(yield* refusal(), /which exists and is not an HTML page\. Choose another file/)
      const inFile = yield* Effect.flip(checkReport(join(report, "report.html"), destination))
      assert.match(inFile.message, /and .*report\.html is not a folder/)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
