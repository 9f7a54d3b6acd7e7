import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { kindOf } from "../../src/cli/destinations.ts"
import { checkTogether, isAnyGiven, planOf, type RunFlags } from "../../src/cli/runFlags.ts"

const none: RunFlags = {
  to: undefined,
  dataPath: undefined,
  mode: undefined,
  fullRefresh: false,
  mayShrink: false,
  everyMillis: undefined,
  isDryRun: false,
  isJson: false,
  reportPath: undefined,
  gzip: false,
  memoryMegabytes: undefined
}

const to = (scheme: "duckdb" | "ducklake" | "parquet" | "jsonl", path = "x") => ({
  to: { kind: kindOf(scheme)!, path, isRemote: false }
})

describe("planOf", () => {
  it("syncs incrementally into DuckDB, without duplicates, by default", () => {
    assert.deepStrictEqual(planOf(none, false), {
      ...none,
      target: { kind: kindOf("duckdb")!, path: "prometheus.duckdb", isRemote: false },
      mode: "incremental_append_deduped",
      laterMode: "incremental_append_deduped"
    })
  })

  it("applies the flags", () => {
    const flags: RunFlags = { ...none, ...to("parquet", "p"), mode: "full_refresh_append" }
    assert.deepStrictEqual(planOf(flags, false), {
      ...flags,
      target: { kind: kindOf("parquet")!, path: "p", isRemote: false },
      mode: "full_refresh_append",
      laterMode: "full_refresh_append"
    })
  })

  it("refreshes only in the first of repeated runs", () => {
    const plan = planOf({ ...none, fullRefresh: true, mode: "incremental_append" }, true)
    assert.strictEqual(plan.target.path, "demo.duckdb")
    assert.deepStrictEqual([plan.mode, plan.laterMode], ["full_refresh_overwrite", "incremental_append"])
  })
})

describe("isAnyGiven", () => {
  it("sees each flag, and nothing else", () => {
    assert.isFalse(isAnyGiven(none))
    assert.isFalse(isAnyGiven({ ...none, demo: true, keys: {} } as RunFlags))
    const given: ReadonlyArray<Partial<RunFlags>> = [
      to("jsonl"),
      { dataPath: "data" },
      { mode: "incremental_append" },
      { fullRefresh: true },
      { mayShrink: true },
      { everyMillis: 1000 },
      { isDryRun: true },
      { isJson: true },
      { reportPath: "r.html" },
      { gzip: true },
      { memoryMegabytes: 64 }
    ]
    assert.sameMembers(given.flatMap(Object.keys), Object.keys(none))
    for (const flag of given) assert.isTrue(isAnyGiven({ ...none, ...flag }), JSON.stringify(flag))
  })
})

describe("checkTogether", () => {
  it.effect.each([
    [{ gzip: true }, /^--gzip is for jsonl:DIR alone/],
    [{ gzip: true, ...to("parquet") }, /remove it, or give --to jsonl:DIR\.$/],
    [
      { memoryMegabytes: 128, ...to("jsonl") },
      /^--memory is for duckdb:FILE, ducklake:CATALOG or parquet:DIR alone: remove it/
    ],
    [{ dataPath: "data" }, /^--data-path is for ducklake:CATALOG alone: remove it/],
    [{ fullRefresh: true, mode: "full_refresh_append" }, /full_refresh_append keeps them: remove/],
    [{ isDryRun: true, everyMillis: 1000 }, /remove --every\.$/],
    [{ isDryRun: true, reportPath: "x.html" }, /remove one of them\.$/]
  ] as const)("refuses %j and says what to leave out", ([given, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(checkTogether({ ...none, ...given }))
      assert.match(error.message, message)
    })
  )

  it.effect.each([
    {},
    { gzip: true, ...to("jsonl") },
    { memoryMegabytes: 128 },
    { memoryMegabytes: 128, ...to("parquet") },
    { dataPath: "s3://bucket/lake", ...to("ducklake") },
    { isDryRun: true, isJson: true, fullRefresh: true },
    { everyMillis: 1000, reportPath: "x.html", isJson: true }
  ])("accepts %j", (given) =>
    Effect.map(Effect.exit(checkTogether({ ...none, ...given })), (exit) =>
      assert.isTrue(Exit.isSuccess(exit))
    )
  )
})
