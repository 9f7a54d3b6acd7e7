import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseTarget, targetText } from "../../src/cli/target.ts"

describe("parseTarget", () => {
  it.each([
    ["duckdb:prometheus.duckdb", "duckdb", "prometheus.duckdb"],
    ["parquet:/data/metrics", "parquet", "/data/metrics"],
    ["jsonl:C:\\data", "jsonl", "C:\\data"],
    ["duckdb:./a:b c", "duckdb", "./a:b c"],
    ["duckdb:b c:d", "duckdb", "b c:d"]
  ] as const)("reads %s", (text, format, path) => {
    const target = Result.getOrThrow(parseTarget(text))
    assert.deepStrictEqual([target.kind.scheme, target.path], [format, path])
    assert.strictEqual(targetText(target), text)
  })

  it.each([
    "parquet:s3://bucket/metrics",
    "jsonl:file:///data/metrics",
    "duckdb::memory:",
    "duckdb:md:metrics",
    "duckdb:md:",
    "duckdb:postgres:dbname=x",
    "duckdb:sqlite:x.db",
    "duckdb:ducklake:x.ducklake",
    "parquet:HTTPS:x"
  ])("takes no address for a folder: %s", (text) => {
    const message = Result.getOrElse(Result.flip(parseTarget(text)), () => "")
    assert.include(message, `--to is ${JSON.stringify(text)}, but must name a path on this machine`)
  })

  it.each([
    ["", "duckdb:FILE, parquet:DIR, jsonl:DIR or postgres:URL."],
    ["duckdb", ", and the path is missing."],
    ["duckdb:", ", and the path is missing."],
    ["x.duckdb", ", such as duckdb:x.duckdb."],
    ["out.jsonl", ": JSON lines go into a folder with one file per stream."],
    ["md:metrics", "duckdb:FILE, parquet:DIR, jsonl:DIR or postgres:URL."],
    ["postgres:", ", and the path is missing."],
    ["csv:out", "duckdb:FILE, parquet:DIR, jsonl:DIR or postgres:URL."],
    [":memory:", "duckdb:FILE, parquet:DIR, jsonl:DIR or postgres:URL."],
    ["DuckDB:x", "duckdb:FILE, parquet:DIR, jsonl:DIR or postgres:URL."]
  ] as const)("says what to give instead of %j", (text, end) => {
    const message = Result.getOrElse(Result.flip(parseTarget(text)), () => "")
    assert.isTrue(message.startsWith(`--to is ${JSON.stringify(text)}, but must be duckdb:FILE`), message)
    assert.isTrue(message.endsWith(end), message)
  })
})
