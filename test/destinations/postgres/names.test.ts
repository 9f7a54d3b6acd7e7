import { assert, describe, it } from "@effect/vitest"
import {
  fittingName,
  postgresColumnOf,
  tableName
} from "../../../src/destinations/postgres/postgresDialect.ts"

describe("names of PostgreSQL", () => {
  it("cuts off a name that is too long, and does not merge two", () => {
    const long = (end: string) => `${"é".repeat(40)}${end}`
    const [a, b] = [fittingName(long("a")), fittingName(long("b"))]
    assert.notStrictEqual(a, b)
    for (const name of [a, b]) {
      assert.match(name, /^é{25}_[0-9a-f]{12}$/)
      assert.isAtMost(Buffer.byteLength(name), 63)
    }
    assert.strictEqual(fittingName("x".repeat(63)), "x".repeat(63))
    // No character is cut in two.
    assert.isTrue(fittingName("😀".repeat(30)).isWellFormed())
  })

  it("numbers tables that DuckDB does not distinguish, and those of this program", () => {
    assert.strictEqual(tableName("Up", new Set(["up"])), "Up_2")
    assert.strictEqual(tableName("_source_prometheus_streams", new Set()), "_source_prometheus_streams_2")
    assert.strictEqual(tableName("a\0b\ud800", new Set()), "a\ufffdb\ufffd")
    const long = "x".repeat(100)
    const first = tableName(long, new Set())
    const second = tableName(long, new Set([first]))
    assert.notStrictEqual(second, first)
    assert.isAtMost(Buffer.byteLength(second), 63)
  })

  it("renames labels with the names of columns that PostgreSQL adds, and has no column for names that are too long", () => {
    assert.strictEqual(postgresColumnOf("ctid"), "label_ctid")
    assert.strictEqual(postgresColumnOf("XMIN"), "label_XMIN")
    assert.strictEqual(postgresColumnOf("time"), "label_time")
    assert.strictEqual(postgresColumnOf("inserted"), "label_inserted")
    assert.isUndefined(postgresColumnOf("label_ctid"))
    assert.isUndefined(postgresColumnOf("l".repeat(64)))
    assert.strictEqual(postgresColumnOf("l".repeat(63)), "l".repeat(63))
    // The name of its column would be too long.
    assert.isUndefined(postgresColumnOf("é".repeat(32)))
  })
})
