import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { kindOf } from "../../src/cli/destinations.ts"
import { checkTogether, planOf, type RunFlags } from "../../src/cli/runFlags.ts"
import type { SyncMode } from "../../src/destinations/Destination.ts"

const none: RunFlags = {
  to: Option.none(),
  mode: Option.none(),
  fullRefresh: false,
  yes: false,
  every: Option.none(),
  dryRun: false,
  json: false,
  report: Option.none(),
  gzip: false,
  memory: Option.none()
}

const to = (scheme: "duckdb" | "parquet" | "jsonl", path = "x") => ({
  to: Option.some({ kind: kindOf(scheme)!, path })
})

describe("planOf", () => {
  it("syncs incrementally into DuckDB, without duplicates, by default", () => {
    assert.deepStrictEqual(planOf(none, false), {
      target: { kind: kindOf("duckdb")!, path: "prometheus.duckdb" },
      mode: "incremental_append_deduped",
      laterMode: "incremental_append_deduped",
      mayShrink: false,
      everyMillis: undefined,
      isDryRun: false,
      isJson: false,
      reportPath: undefined,
      gzip: false,
      memoryMegabytes: undefined
    })
  })

  it("applies the flags", () => {
    const flags: RunFlags = {
      ...to("parquet", "p"),
      mode: Option.some("full_refresh_append"),
      fullRefresh: false,
      yes: true,
      every: Option.some(5000),
      dryRun: true,
      json: true,
      report: Option.some("r.html"),
      gzip: true,
      memory: Option.some(512)
    }
    assert.deepStrictEqual(planOf(flags, false), {
      target: { kind: kindOf("parquet")!, path: "p" },
      mode: "full_refresh_append",
      laterMode: "full_refresh_append",
      mayShrink: true,
      everyMillis: 5000,
      isDryRun: true,
      isJson: true,
      reportPath: "r.html",
      gzip: true,
      memoryMegabytes: 512
    })
  })

  it("refreshes only in the first of repeated runs", () => {
    const plan = planOf({ ...none, fullRefresh: true, mode: Option.some("incremental_append") }, true)
    assert.strictEqual(plan.target.path, "demo.duckdb")
    assert.deepStrictEqual([plan.mode, plan.laterMode], ["full_refresh_overwrite", "incremental_append"])
  })
})

describe("checkTogether", () => {
  it.effect.each([
    [{ gzip: true }, /^--gzip is for jsonl:DIR alone/],
    [{ gzip: true, ...to("parquet") }, /remove it, or give --to jsonl:DIR\.$/],
    [
      { memory: Option.some(128), ...to("jsonl") },
      /^--memory is for duckdb:FILE or parquet:DIR alone: remove it/
    ],
    [
      { fullRefresh: true, mode: Option.some<SyncMode>("full_refresh_append") },
      /full_refresh_append keeps them: remove/
    ],
    [{ dryRun: true, every: Option.some(1000) }, /remove --every\.$/],
    [{ dryRun: true, report: Option.some("x.html") }, /remove one of them\.$/]
  ] as const)("refuses %j and says what to leave out", ([given, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(checkTogether({ ...none, ...given }))
      assert.match(error.message, message)
    })
  )

  it.effect.each([
    {},
    { gzip: true, ...to("jsonl") },
    { memory: Option.some(128) },
    { memory: Option.some(128), ...to("parquet") },
    { dryRun: true, json: true, fullRefresh: true },
    { every: Option.some(1000), report: Option.some("x.html"), json: true }
  ])("accepts %j", (given) =>
    Effect.map(Effect.exit(checkTogether({ ...none, ...given })), (exit) =>
      assert.isTrue(Exit.isSuccess(exit))
    )
  )
})
