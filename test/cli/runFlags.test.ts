import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { kindOf } from "../../src/cli/destinations.ts"
import { checkTogether, isAnyGiven, planOf, type RunFlags } from "../../src/cli/runFlags.ts"
import { SharedDestination } from "../../src/destinations/SharedDestination.ts"

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
  part: undefined,
  parts: undefined,
  partMillis: undefined,
  cluster: undefined,
  gzip: false,
  memoryMegabytes: undefined
}

const cluster = { url: "postgresql://db/x", text: "postgresql://db/x" }

/** Without the variable that gives processes their numbers. */
const noEnv = {}

const to = (scheme: "duckdb" | "ducklake" | "parquet" | "jsonl", path = "x") => ({
  to: { kind: kindOf(scheme)!, path, isRemote: false }
})

describe("planOf", () => {
  it("syncs incrementally into DuckDB, without duplicates, by default", () => {
    assert.deepStrictEqual(planOf(none, false), {
      ...none,
      target: { kind: kindOf("duckdb")!, path: "prometheus.duckdb", isRemote: false },
      mode: "incremental_append_deduped",
      laterMode: "incremental_append_deduped",
      share: undefined,
      processes: undefined
    })
  })

  it("has the parts of one process", () => {
    const given = { ...none, partMillis: 3_600_000 }
    const share = { index: 2, processes: 4, lengthMillis: 3_600_000 }
    const part = { index: 2, processes: 4 }
    assert.deepInclude(planOf({ ...given, part }, false, noEnv), { share, processes: 4 })
    assert.deepInclude(planOf({ ...given, parts: 4 }, false, { JOB_COMPLETION_INDEX: "2" }), {
      share,
      processes: 4
    })
    // A dry run needs no number of its own.
    assert.deepInclude(planOf({ ...given, parts: 4 }, false, noEnv), { share: undefined, processes: 4 })
  })

  it("applies the flags", () => {
    const flags: RunFlags = { ...none, ...to("parquet", "p"), mode: "full_refresh_append" }
    assert.deepStrictEqual(planOf(flags, false), {
      ...flags,
      target: { kind: kindOf("parquet")!, path: "p", isRemote: false },
      mode: "full_refresh_append",
      laterMode: "full_refresh_append",
      share: undefined,
      processes: undefined
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
      { part: { index: 0, processes: 2 } },
      { parts: 2 },
      { partMillis: 1000 },
      { cluster },
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
      /^--memory is for duckdb:FILE, ducklake:CATALOG, parquet:DIR or postgres:URL alone: remove it/
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

/** A destination that several processes can write. */
const shared: Required<Pick<RunFlags, "to">> = {
  to: {
    kind: {
      ...kindOf("parquet")!,
      sharedLayer: () => Layer.effect(SharedDestination, Effect.die("not opened"))
    },
    path: "x",
    isRemote: false
  }
}

const part = { index: 0, processes: 2 }

describe("checkTogether for parts", () => {
  it.effect.each([
    [{ part, parts: 2, ...shared }, /^--part already says how many .*: remove --parts\.$/],
    [{ part, mode: "incremental_append", ...shared }, /^--part is for the mode .*: remove --mode\.$/],
    [
      { part, fullRefresh: true, everyMillis: 1000, ...shared },
      /^--part is for the mode .*: remove --full-refresh\.$/
    ],
    [{ part, isDryRun: true, everyMillis: 1000, ...shared }, /: remove --every\.$/],
    [{ part, gzip: true, ...shared }, /^--gzip is for jsonl:DIR alone: remove it/],
    [{ parts: 2, fullRefresh: true, ...shared }, /^--parts is for the mode .*: remove --full-refresh\.$/],
    [
      { part, ...to("jsonl") },
      /^--part is for destinations that several processes can write, and jsonl: has one writer only: remove it/
    ],
    [{ part }, /and duckdb: has one writer only/],
    [{ parts: 2, ...to("jsonl"), isDryRun: true }, /^--parts is for destinations/],
    [
      { part, reportPath: "x.html", ...shared },
      /^--report shows the data that one process reads, and --part divides it: remove one of them\.$/
    ],
    [{ cluster, ...to("jsonl") }, /^--cluster is for destinations that several processes can write/],
    [{ cluster, mode: "incremental_append", ...shared }, /^--cluster is for the mode .*: remove --mode\.$/],
    [{ cluster, reportPath: "x.html", ...shared }, /^--report shows .*, and --cluster divides it/],
    [
      { cluster, part, ...shared },
      /^--part and --cluster divide the work in different ways: remove one of them\.$/
    ],
    [
      { partMillis: 1000, ...shared },
      /^--part-length is for runs in parts: remove it, or give --part, --parts or --cluster\.$/
    ],
    [
      { parts: 2, ...shared },
      /JOB_COMPLETION_INDEX, which is not set.*give --part I\/2 instead, with I from 0 to 1\.$/
    ]
  ] as const)("refuses %j and says what to leave out", ([given, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(checkTogether({ ...none, ...given }, noEnv))
      assert.match(error.message, message)
    })
  )

  it.effect.each([
    { part },
    { part, partMillis: 1000, everyMillis: 1000, isJson: true },
    { part, mode: "incremental_append_deduped" },
    { part, everyMillis: 1000, mode: "incremental_append_deduped", mayShrink: true },
    { part, isDryRun: true },
    { cluster, partMillis: 1000, everyMillis: 1000 },
    { parts: 2, isDryRun: true },
    { partMillis: 1000, isDryRun: true }
  ] as const)("accepts %j", (given) => checkTogether({ ...none, ...shared, ...given }, noEnv))

  it.effect("takes the number of the process from the variable of Kubernetes", () =>
    checkTogether({ ...none, ...shared, parts: 2 }, { JOB_COMPLETION_INDEX: "1" })
  )
})
