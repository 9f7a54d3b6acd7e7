import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { Headers } from "effect/http"
import {
  type Completeness,
  firstWarnings,
  isAffirmative,
  isMissingName,
  judgeCompleteness,
  memberSign,
  responseSigns
} from "../../src/prometheus/completeness.ts"

describe("a name", () => {
  it.each([
    "isPartial",
    "partial",
    "M3-Results-Limited",
    "m3-returned-data-limited",
    "x-partial-response",
    "resultsTruncated",
    "is_incomplete",
    "TRUNCATED"
  ])("says that data are missing: %s", (name) => assert.isTrue(isMissingName(name)))

  it.each([
    "limit",
    "x-ratelimit-limit",
    "x-rate-limited",
    "rateLimited",
    "accept-ranges",
    "partials",
    "unlimited",
    "x-content-type-options",
    ""
  ])("says nothing about that: %s", (name) => assert.isFalse(isMissingName(name)))
})

describe("a value", () => {
  it.each([
    true,
    1,
    "true",
    "yes",
    "max_fetch_series_limit_applied",
    "1",
    '{"Limited":true,"Series":5}',
    ["a"],
    { a: 1 }
  ])("affirms: %j", (value) => assert.isTrue(isAffirmative(value)))

  it.each([
    false,
    0,
    null,
    undefined,
    "",
    " false ",
    "False",
    "0",
    "no",
    "none",
    '{"Results":10,"Limited":false}',
    "{}",
    [],
    {},
    { limited: false, total: 9 }
  ])("does not: %j", (value) => assert.isFalse(isAffirmative(value)))

  it.prop("of any kind is judged, and shown only if it affirms", [Schema.Json], ([value]) => {
    assert.lengthOf(memberSign("isPartial", value), isAffirmative(value) ? 1 : 0)
    assert.deepStrictEqual(memberSign("data", value), [])
  })
})

describe("the status and the headers", () => {
  it("say that data are missing", () => {
    const headers = Headers.fromInput({
      "content-type": "application/json",
      "M3-Results-Limited": "true",
      "M3-Returned-Data-Limited": '{"Series":3,"Limited":false}',
      "X-Partial": "0"
    })
    assert.deepStrictEqual(responseSigns(200, headers), ["its header m3-results-limited is true"])
    assert.deepStrictEqual(responseSigns(206, Headers.empty), ["its status is 206 (partial content)"])
  })
})

const context = {
  address: "http://h/api",
  mask: (text: string) => text.replaceAll("s3cret", "****"),
  partialData: "fail"
} as const

const complete: Completeness = { warnings: [], signs: [], isEmpty: false }

const judge = (completeness: Partial<Completeness>, partialData: "accept" | "fail" = "fail") =>
  judgeCompleteness({ ...complete, ...completeness }, { ...context, partialData })

const summary = (completeness: Partial<Completeness>) => {
  const error = Result.getOrThrow(Result.flip(judge(completeness)))
  assert.strictEqual(error.reason, "PartialResponse")
  return error.summary
}

describe("a response", () => {
  it("is complete without any word about it, or with words about the query", () => {
    assert.deepStrictEqual(Result.getOrThrow(judge({})), [])
    assert.deepStrictEqual(Result.getOrThrow(judge({ warnings: ["PromQL info: s3cret"] })), [
      "PromQL info: ****"
    ])
  })

  it("lacks data if anything says so", () => {
    assert.strictEqual(
      summary({ signs: ["isPartial is true"] }),
      "The response from http://h/api may lack data."
    )
    assert.strictEqual(
      summary({ warnings: ["rpc error s3cret"] }),
      "The response from http://h/api may lack data. It warns: rpc error ****."
    )
    assert.strictEqual(
      summary({ warnings: ["not implemented"], signs: ["its header x-truncated is s3cret"] }),
      "The response from http://h/api may lack data. It warns: not implemented. It says so itself: its header x-truncated is ****."
    )
  })

  it("that lacks data is accepted with a warning if configured", () => {
    assert.deepStrictEqual(
      Result.getOrThrow(
        judge({ warnings: ["rpc"], signs: ["isPartial is true", "its header x-limited is 1"] }, "accept")
      ),
      [
        "rpc",
        "the response lacks data because some of the server's sources did not respond",
        "the response lacks data: its header x-limited is 1"
      ]
    )
  })

  it.each(["No StoreAPIs matched for this query", "no store APIs matched"])(
    "that is empty lacks nothing where nothing matched: %s",
    (warning) => {
      assert.deepStrictEqual(Result.getOrThrow(judge({ warnings: [warning], isEmpty: true })), [])
      assert.include(summary({ warnings: [warning] }), warning)
      assert.include(summary({ warnings: [warning, "rpc error"], isEmpty: true }), "It warns: rpc error.")
      assert.include(summary({ warnings: [warning], isEmpty: true, signs: ["partial is true"] }), "partial")
    }
  )
})

describe("warnings", () => {
  it("are texts: one, or a list", () => {
    assert.deepStrictEqual(firstWarnings("cut"), ["cut"])
    assert.deepStrictEqual(firstWarnings(["cut", 5, null, ""]), ["cut"])
    assert.deepStrictEqual(firstWarnings(null), [])
    assert.deepStrictEqual(firstWarnings({ a: "b" }), [])
  })
})
