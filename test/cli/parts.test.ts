import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parsePart, shareOf } from "../../src/cli/parts.ts"

const failureOf = <A>(result: Result.Result<A, string>): string =>
  Result.match(result, { onSuccess: () => "", onFailure: (message) => message })

describe("--part", () => {
  it.each([
    ["0/1", 0, 1],
    ["3/4", 3, 4],
    [" 00/04 ", 0, 4],
    ["9999/10000", 9999, 10_000]
  ] as const)("%s is one process of some", (text, index, processes) => {
    assert.deepStrictEqual(parsePart(text), Result.succeed({ index, processes }))
  })

  it.each([
    ["4/4", /is "4\/4", but processes are counted from 0: the last one of 4 is 3\/4\.$/],
    ["0/0", /must be from 1 to 10000/],
    ["0/10001", /must be from 1 to 10000/],
    ["", /the first of four is 0\/4, the last one 3\/4\.$/],
    ["1", /must be the number of this process/],
    ["-1/4", /must be the number/],
    ["1.5/4", /must be the number/],
    ["1/4/2", /must be the number/],
    ["a/b", /must be the number/]
  ])("refuses %j", (text, message) => {
    assert.match(failureOf(parsePart(text)), message)
  })
})

describe("--parts", () => {
  const share = (parts: number, index?: string) =>
    shareOf({ parts }, index === undefined ? {} : { JOB_COMPLETION_INDEX: index })

  it("takes the number of the process from Kubernetes", () => {
    assert.deepStrictEqual(share(4, "3"), Result.succeed({ index: 3, processes: 4, lengthMillis: undefined }))
    assert.deepStrictEqual(shareOf({}, { JOB_COMPLETION_INDEX: "3" }), Result.succeed(undefined))
  })

  it.each([undefined, "", " "])("refuses a number that is %j", (index) => {
    assert.match(
      failureOf(share(4, index)),
      /JOB_COMPLETION_INDEX, which is not set.*completionMode: Indexed/
    )
  })

  it.each(["4", "-1", "x", "1e0", "0x1", "1.0"])("refuses the number %s of four", (index) => {
    assert.match(
      failureOf(share(4, index)),
      /^JOB_COMPLETION_INDEX is ".*", but with --parts 4 it must be a number from 0 to 3\./
    )
  })
})
