import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseTarget } from "../../../src/cli/target.ts"
import { catalogOf } from "../../../src/destinations/ducklake/catalogPlace.ts"

const place = (text: string) => Result.map(parseTarget(text), ({ path }) => path)

describe("the place of a DuckLake's catalog", () => {
  it.each([
    ["ducklake:postgres:dbname=lake host=db", "dbname=lake host=db"],
    ["ducklake:postgres:", ""],
    ["ducklake:postgres:service=lake", "service=lake"],
    ["ducklake:postgres://u@h:5432/lake?sslmode=require", "postgres://u@h:5432/lake?sslmode=require"],
    ["ducklake:postgres:postgresql://h/lake", "postgresql://h/lake"]
  ])("is a connection to PostgreSQL: %s", (text, connection) => {
    assert.deepStrictEqual(catalogOf(Result.getOrThrow(place(text))), { kind: "postgres", connection })
  })

  it.each([
    "ducklake:postgres:dbname=lake password = 'hunter2'",
    "ducklake:postgres:dbname=lake sslpassword=hunter2",
    "ducklake:postgres://u:hunter2@h/lake",
    "ducklake:postgres://h/lake?%70assword=hunter2"
  ])("has no password: %s", (text) => {
    const message = Result.getOrThrow(Result.flip(place(text)))
    assert.match(
      message,
      /^The address of PostgreSQL in --to has a (password|value of sslpassword), .*PGPASSWORD/
    )
    assert.notInclude(message, "hunter2")
  })

  it("must be a connection that libpq can read", () => {
    const message = Result.getOrThrow(Result.flip(place("ducklake:postgres:lake")))
    assert.match(message, /must be a URL, or key words, such as ducklake:postgres:dbname=DATABASE host=HOST/)
  })
})
