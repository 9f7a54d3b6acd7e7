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
    "ducklake:postgres:dbname=lake host=db",
    "ducklake:postgres:",
    "ducklake:postgresql://me@db/lake"
  ])("reads the catalog of a DuckLake in PostgreSQL: %s", (text) => {
    const target = Result.getOrThrow(parseTarget(text))
    assert.deepStrictEqual([target.kind.scheme, target.isRemote], ["ducklake", true])
    assert.strictEqual(targetText(target), text)
  })

  it.each([
    "ducklake:postgres:dbname=lake password=s3cret",
    "ducklake:postgres:password = 's3cret' dbname=lake",
    "ducklake:postgres:SSLPASSWORD=s3cret",
    "ducklake:postgres://me:s3cret@db/lake",
    "ducklake:postgres:postgresql://me:s3cret@db/lake",
    "ducklake:postgresql://db/lake?user=me&password=s3cret"
  ])("refuses a password without quoting it: %s", (text) => {
    const message = Result.getOrElse(Result.flip(parseTarget(text)), () => "")
    assert.include(message, "PGPASSWORD")
    assert.notInclude(message, "s3cret")
  })

  it.each(["ducklake:sqlite:x.db", "ducklake:mysql:db=lake", "ducklake:md:lake"])(
    "names the catalogs of a DuckLake: %s",
    (text) => {
      const message = Result.getOrElse(Result.flip(parseTarget(text)), () => "")
      assert.include(message, "must be a file, or PostgreSQL: ducklake:postgres:dbname=DATABASE")
    }
  )

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
    ["", "duckdb:FILE, ducklake:CATALOG, parquet:DIR or jsonl:DIR."],
    ["duckdb", ", and the path is missing."],
    ["duckdb:", ", and the path is missing."],
    ["x.duckdb", ", such as duckdb:x.duckdb."],
    ["lake.ducklake", ", such as ducklake:lake.ducklake."],
    ["out.jsonl", ": JSON lines go into a folder with one file per stream."],
    ["md:metrics", "duckdb:FILE, ducklake:CATALOG, parquet:DIR or jsonl:DIR."],
    ["postgres:dbname=x", "duckdb:FILE, ducklake:CATALOG, parquet:DIR or jsonl:DIR."],
    ["csv:out", "duckdb:FILE, ducklake:CATALOG, parquet:DIR or jsonl:DIR."],
    [":memory:", "duckdb:FILE, ducklake:CATALOG, parquet:DIR or jsonl:DIR."],
    ["DuckDB:x", "duckdb:FILE, ducklake:CATALOG, parquet:DIR or jsonl:DIR."]
  ] as const)("says what to give instead of %j", (text, end) => {
    const message = Result.getOrElse(Result.flip(parseTarget(text)), () => "")
    assert.isTrue(message.startsWith(`--to is ${JSON.stringify(text)}, but must be duckdb:FILE`), message)
    assert.isTrue(message.endsWith(end), message)
  })
})
