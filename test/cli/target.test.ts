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
    ["parquet:s3://my.bucket/a b/ü%20", "s3://my.bucket/a b/ü%20"],
    ["parquet:S3://bucket", "s3://bucket"],
    ["parquet:s3://bucket//a///", "s3://bucket/a"]
  ])("reads the address of a prefix in a bucket: %s", (text, path) => {
    const target = Result.getOrThrow(parseTarget(text))
    assert.deepStrictEqual([target.kind.scheme, target.path, target.isRemote], ["parquet", path, true])
  })

  it.each([
    ["parquet:s3://", "has no bucket: write s3://BUCKET/PREFIX."],
    ["parquet:s3:///a", "has no bucket"],
    ["parquet:s3://b!/a", "has a bucket that cannot exist"],
    ["parquet:s3://bucket/a/../b", 'has an empty part, "." or ".." in its prefix'],
    ["parquet:s3://bucket/a//b", 'has an empty part, "." or ".." in its prefix'],
    ["parquet:s3://bucket/a\u0000b", "has characters in its prefix that are not allowed"],
    [`parquet:s3://bucket/${"a".repeat(700)}`, "has a prefix that is too long"],
    ["parquet:gs://bucket/a", "must be a folder or parquet:s3://BUCKET/PREFIX. AWS_ENDPOINT_URL_S3 names"]
  ])("says what is wrong with the address %j", (text, reason) => {
    const message = Result.getOrElse(Result.flip(parseTarget(text)), () => "")
    assert.include(message, `--to is "${text}", but `)
    assert.include(message, reason)
  })

  it.each(["parquet:s3://KEY:s3cr/et+@bucket/a", "parquet:s3a://KEY:s3cr/et+@bucket/a"])(
    "does not repeat keys in an address: %s",
    (text) => {
      const message = Result.getOrElse(Result.flip(parseTarget(text)), () => "")
      assert.match(message, /^--to is "parquet:s3a?:\/\/\*\*\*@bucket\/a", but /)
      assert.notInclude(message, "s3cr")
    }
  )

  it.each([
    "jsonl:s3://bucket/metrics",
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
    ["s3://bucket/a", ", such as parquet:s3://bucket/a."],
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
