import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { fileName } from "../../../src/destinations/folder/fileName.ts"

/** The stream of a name that was not shortened. */
const streamOf = (name: string): string => decodeURIComponent(name.replace(/~.*$/, ""))

const length = (text: string): number => Buffer.byteLength(text)

describe("fileName", () => {
  it("leaves plain names as they are, and shows what others are", () => {
    assert.deepStrictEqual(
      [
        "up",
        "node_cpu_seconds_total",
        "http.server-duration",
        "job:up:rate5m",
        "Foo",
        "FOO",
        "_x",
        "con",
        "con.a"
      ].map(fileName),
      [
        "up",
        "node_cpu_seconds_total",
        "http.server-duration",
        "job%3aup%3arate5m",
        "Foo~1",
        "FOO~7",
        "%5fx",
        "%63on",
        "%63on.a"
      ]
    )
    assert.strictEqual(fileName(".."), "%2e%2e")
    assert.strictEqual(fileName("../etc/passwd"), "%2e.%2fetc%2fpasswd")
  })

  it.prop("is safe, and gives back its stream", [Schema.String], ([stream]) => {
    const name = fileName(stream)
    assert.match(name, /^[A-Za-z0-9%~][A-Za-z0-9_.%~-]*$/)
    assert.isBelow(length(name), 200)
    assert.notMatch(name, /\.$/)
    if (!name.includes("~~")) assert.strictEqual(streamOf(name), stream)
  })

  it("distinguishes names that a disk may not", () => {
    const streams = [
      "a",
      "A",
      "aB",
      "Ab",
      "AB",
      "a~1",
      "a%41",
      "é",
      "É",
      "x".repeat(300),
      "x".repeat(301),
      "",
      "\ud800",
      "\ud801"
    ]
    const names = streams.map((stream) => fileName(stream).toLowerCase())
    assert.strictEqual(new Set(names).size, streams.length)
    assert.include(fileName("x".repeat(300)), "~~")
  })
})
