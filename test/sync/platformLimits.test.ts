import { assert, describe, it } from "@effect/vitest"
import {
  GROUP_FIELDS,
  limitWarning,
  MAX_FIELDS,
  MAX_STREAMS,
  type SizedMetric,
  suggestGroups
} from "../../src/sync/platformLimits.ts"
import { choices } from "../choices.ts"

const none = { streams: 0, fields: 0 }

const metricsOf = (beginning: string, count: number, fields = 10): ReadonlyArray<SizedMetric> =>
  Array.from({ length: count }, (_, i) => ({ name: `${beginning}${i}`, fields }))

describe("the limits of a platform", () => {
  it("are no subject of a catalog that it takes", () => {
    assert.isUndefined(limitWarning(metricsOf("a_", 1000), none))
    assert.isUndefined(limitWarning(metricsOf("a_", 100, 200), none))
    assert.isDefined(limitWarning(metricsOf("a_", 1000), { streams: 1, fields: 0 }))
    assert.isDefined(limitWarning(metricsOf("a_", 100, 200), { streams: 0, fields: 1 }))
  })

  it("come with the group that makes the catalog small enough", () => {
    const metrics = [...metricsOf("node_cpu_", 900), ...metricsOf("kube_", 600), ...metricsOf("up", 1)]
    assert.strictEqual(
      limitWarning(metrics, none),
      "The catalog has 1,501 streams and 15,010 fields. Airbyte Cloud takes at most 1,000 streams, and 20,000 fields in a connection. This group of metrics makes it small enough: node_cpu_* (900 metrics in one stream). Or select fewer metrics with metrics."
    )
    assert.deepStrictEqual(suggestGroups([...metrics, ...metricsOf("go_", 500)], none), [
      { pattern: "node_cpu_*", metrics: 900 },
      { pattern: "kube_*", metrics: 600 }
    ])
    // Few metrics with many labels.
    assert.deepStrictEqual(suggestGroups([...metricsOf("wide_", 30, 900), ...metricsOf("go_", 500)], none), [
      { pattern: "wide_*", metrics: 30 }
    ])
  })

  it("are known for streams without their fields, too", () => {
    assert.match(
      limitWarning(
        metricsOf("a:b_", 1200).map(({ name }) => ({ name, fields: undefined })),
        none
      ) ?? "",
      /^The catalog has 1,200 streams\. Airbyte .*: a:b_\* \(1,200 metrics in one stream\)/
    )
  })

  it("may need one group of all metrics", () => {
    assert.deepStrictEqual(suggestGroups(metricsOf("up", 1500), none), [{ pattern: "*", metrics: 1500 }])
  })

  it.prop("hold with the suggested groups", [choices], ([choices]) => {
    const names = new Set(
      choices.list(3000, () =>
        choices
          .list(3, () => choices.pick(["node", "cpu", "kube", "a:b", "x.y", "é"]))
          .concat(`${choices.below(2000)}`)
          .join("_")
      )
    )
    const metrics = Array.from(names, (name) => ({ name, fields: choices.between(7, 60) }))
    const groups = suggestGroups(metrics, none)
    const rest = metrics.filter(
      ({ name }) => !groups.some(({ pattern }) => name.startsWith(pattern.slice(0, -1)))
    )
    const fields = rest.reduce((sum, metric) => sum + metric.fields, 0)
    assert.isAtMost(groups.length + rest.length, MAX_STREAMS)
    assert.isAtMost(groups.length * GROUP_FIELDS + fields, MAX_FIELDS)
    assert.strictEqual(groups.length > 0, limitWarning(metrics, none) !== undefined)
  })
})
