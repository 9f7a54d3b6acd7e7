/** Names in paths, compared with what a real Prometheus 3 accepts in test/integration/utf8.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { escapeName, unescapeName } from "../../src/promql/escapeName.ts"

describe("a name in a path", () => {
  it.each([
    ["plain_1", "plain_1"],
    ["__name__", "__name__"],
    ["k8s.pod.name", "U__k8s_2e_pod_2e_name"],
    ["c/d", "U__c_2f_d"],
    [".", "U___2e_"],
    ["..", "U___2e__2e_"],
    ["a_b.c", "U__a__b_2e_c"],
    ["a b", "U__a_20_b"],
    ['q"q', "U__q_22_q"],
    ["0a0", "U___30_a0"],
    ["a:b", "U__a:b"],
    ["line\nfeed", "U__line_a_feed"],
    ["é😀", "U___e9__1f600_"],
    ["a%2Fb", "U__a_25_2Fb"],
    ["U__x", "U__U____x"],
    ["\ud800", "U___fffd_"]
  ])("%j is %s", (name, segment) => {
    assert.strictEqual(escapeName(name), segment)
    if (name.isWellFormed()) assert.strictEqual(unescapeName(segment), name)
  })

  it.each(["U__a_", "U___zz_", "U___110000_", "U___d800_", "U__a_2e"])(
    "%s, which is not escaped correctly, stands for itself",
    (segment) => assert.strictEqual(unescapeName(segment), segment)
  )

  it.prop("can be read back, and needs no other encoding", [Schema.String], ([name]) => {
    const segment = escapeName(name)
    assert.match(segment, /^[\w:]*$/)
    assert.strictEqual(unescapeName(segment), name.toWellFormed())
  })
})
