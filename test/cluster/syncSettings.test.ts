import { assert, describe, it } from "@effect/vitest"
import { differencesText, groupOf } from "../../src/cluster/syncSettings.ts"

const settings = { source: "http://p", destination: "postgres:x", step: "5m" }

describe("groupOf", () => {
  it("is the same for the same settings in another order, and only for them", () => {
    assert.strictEqual(
      groupOf({ step: "5m", destination: "postgres:x", source: "http://p" }),
      groupOf(settings)
    )
    assert.match(groupOf(settings), /^v1_[0-9a-f]{12}$/)
    const others = [
      { ...settings, step: "1m" },
      { ...settings, selector: '{job="a"}' },
      { ...settings, source: "postgres:x", destination: "http://p" }
    ]
    assert.strictEqual(new Set([settings, ...others].map(groupOf)).size, 4)
  })
})

describe("differencesText", () => {
  it("names each setting that differs", () => {
    assert.strictEqual(
      differencesText({ ...settings, step: "1m", selector: '{a="b"}' }, settings),
      'step is 1m there and 5m here, selector is {a="b"} there and not set here'
    )
    assert.strictEqual(differencesText(settings, settings), "the versions of source-prometheus differ")
  })
})
