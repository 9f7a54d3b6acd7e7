import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { parseTarget } from "../../src/cli/target.ts"
import { checkFlags, type WorkerFlags } from "../../src/cli/workerCommand.ts"

/** Flags with a server and a cluster. */
const flagsOf = (to: string | undefined, more: object = {}) =>
  ({
    config: "config.json",
    demo: false,
    keys: {},
    cluster: "postgresql://user@host/database",
    to: to === undefined ? undefined : Result.getOrThrow(parseTarget(to)),
    gzip: false,
    ...more
  }) as unknown as WorkerFlags

describe("the flags of a worker", () => {
  it.effect.each([
    ["parquet:metrics", { cluster: undefined }, /^No cluster is given: add --cluster/],
    [undefined, {}, /^A worker writes beside others: give --to .*ducklake:CATALOG/],
    ["jsonl:metrics", {}, /^A worker writes beside others/],
    ["parquet:metrics", { dataPath: "data" }, /^--data-path is for ducklake:CATALOG alone: remove it/]
  ] as const)("are refused: %s %j", ([to, more, message]) =>
    Effect.gen(function* () {
      assert.match((yield* Effect.flip(checkFlags(flagsOf(to, more)))).message, message)
    })
  )

  it.effect("are the place of the data of a DuckLake too", () =>
    checkFlags(flagsOf("ducklake:postgres:dbname=lake", { dataPath: "s3://bucket/lake" }))
  )
})
