import { assert, describe, it } from "@effect/vitest"
import { nearest } from "../../src/text/nearest.ts"
import { choices } from "../choices.ts"

const names = [
  "up",
  "http_requests_total",
  "http_request_duration_seconds",
  "go_goroutines",
  "node_load1",
  "Node_Load5"
]

describe("nearest", () => {
  it.each<readonly [text: string, near: ReadonlyArray<string>]>([
    ["http_reqests_total", ["http_requests_total"]],
    ["http_requests_toatl", ["http_requests_total", "http_request_duration_seconds"]],
    ["pu", ["up"]],
    ["UP", ["up"]],
    ["NODE_LOAD1", ["node_load1", "Node_Load5"]],
    ["go_gorutine", ["go_goroutines"]],
    ["zzz", []],
    ["", []],
    ["x".repeat(1000), []]
  ])("of %s", (text, near) => {
    assert.deepStrictEqual(nearest(text, names, 3), near)
  })

  it("compares the beginning or end of a pattern", () => {
    assert.deepStrictEqual(nearest("htpp_", names, 3, true), [
      "http_request_duration_seconds",
      "http_requests_total"
    ])
    assert.deepStrictEqual(nearest("_secnds", names, 3, true), ["http_request_duration_seconds"])
    assert.deepStrictEqual(nearest("htpp_", names, 3), [])
  })

  it("returns at most as many as wanted", () => {
    assert.lengthOf(nearest("m1", ["m2", "m3", "m4", "m5"], 3), 3)
    assert.deepStrictEqual(nearest("m", [], 3), [])
  })

  it.prop("finds a name with one edit, whatever it is", [choices], ([choices]) => {
    const name = `${choices.list(12, () => choices.pick(["a", "b", "_", "x"])).join("")}metric`
    const at = choices.pick([...name].map((_, i) => i))
    const edited = [
      `${name.slice(0, at)}${name.slice(at + 1)}`,
      `${name.slice(0, at)}q${name.slice(at)}`,
      `${name.slice(0, at)}q${name.slice(at + 1)}`
    ]
    for (const text of edited) assert.deepStrictEqual(nearest(text, ["zzzzzzzzzzzz", name], 3), [name])
  })
})
