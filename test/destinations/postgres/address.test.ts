import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseTarget } from "../../../src/cli/target.ts"
import { parseAddress } from "../../../src/destinations/postgres/address.ts"

const failure = (text: string) => Result.getOrThrow(Result.flip(parseAddress(text)))

describe("parseAddress", () => {
  it.each([
    ["postgresql://u@h:5432/db?schema=metrics", "postgresql://u@h:5432/db", "metrics"],
    ["postgres://h/db", "postgresql://h/db", "prometheus"],
    ["//h/db", "postgresql://h/db", "prometheus"],
    [
      "postgresql:///db?host=/run&schema=a%20b&sslmode=verify-full",
      "postgresql:///db?host=/run&sslmode=verify-full",
      "a b"
    ],
    [
      "postgresql://a:1,b:2/db?target_session_attrs=primary",
      "postgresql://a:1,b:2/db?target_session_attrs=primary",
      "prometheus"
    ],
    ["postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db", "prometheus"],
    ["host=db dbname=metrics", "host=db dbname=metrics", "prometheus"],
    ["service=s schema=m", "service=s", "m"],
    ["schema='a \\'b' service = s", "service = s", "a 'b"],
    ["host='a b' schema=x port=1", "host='a b' port=1", "x"]
  ])("reads %s", (text, connection, schema) => {
    assert.deepStrictEqual(Result.getOrThrow(parseAddress(text)), { connection, schema })
  })

  it.each([
    "postgresql://u:hunter2@h/db",
    "postgresql://u@h/db?password=hunter2",
    "postgresql://u@h/db?%70assword=hunter2",
    "postgresql://u@h/db?sslpassword=hunter2",
    "host=h password=hunter2",
    "host=h password = 'hunter2'"
  ])("refuses a password, says where it belongs, and does not repeat it: %s", (text) => {
    assert.match(failure(text), /PGPASSWORD.*PGPASSFILE/)
    assert.notInclude(failure(text), "hunter2")
    for (const scheme of ["postgres:", "postgresql:"]) {
      const given = text.startsWith("postgresql:") && scheme === "postgresql:" ? text : scheme + text
      assert.notInclude(Result.getOrThrow(Result.flip(parseTarget(given))), "hunter2")
    }
  })

  it.each([
    ["postgresql://h/db?schema=", /1 to 63 bytes/],
    [`postgresql://h/db?schema=${"é".repeat(32)}`, /1 to 63 bytes/],
    ["postgresql://h/db?schema=pg_x", /PostgreSQL's own/],
    ["postgresql://h/db?schema=%zz", /escape such as %20/],
    ["metrics", /must be a URL/],
    ["host=h '", /must be a URL/]
  ])("refuses %s", (text, message) => {
    assert.match(failure(text), message)
  })

  it("is a destination of the command line, also without the second scheme", () => {
    const pathOf = (text: string) => Result.getOrThrow(parseTarget(text)).path
    assert.strictEqual(pathOf("postgres:postgresql://h/db"), "postgresql://h/db")
    assert.strictEqual(pathOf("postgres://h/db"), "postgresql://h/db")
    assert.strictEqual(pathOf("postgresql://h/db"), "postgresql://h/db")
    assert.strictEqual(pathOf("postgres:host=h dbname=db"), "host=h dbname=db")
  })
})
