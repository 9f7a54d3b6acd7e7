import { assert, describe, it } from "@effect/vitest"
import { cpuBetween, parseServerCpu } from "../../src/prometheus/serverCpu.ts"

describe("parseServerCpu", () => {
  it("finds the figures of Prometheus and of VictoriaMetrics", () => {
    const prometheus = [
      "# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.",
      "# TYPE process_cpu_seconds_total counter",
      "process_cpu_seconds_total 12.34",
      "# TYPE process_start_time_seconds gauge",
      "process_start_time_seconds 1.76722560012e+09",
      ""
    ].join("\n")
    assert.deepStrictEqual(parseServerCpu(prometheus), { seconds: 12.34, startedAt: 1767225600.12 })
    const labelled = 'process_cpu_seconds_total{job="a"} 1\nprocess_start_time_seconds{job="a"} 2\n'
    assert.deepStrictEqual(parseServerCpu(labelled), { seconds: 1, startedAt: 2 })
  })

  it("finds nothing elsewhere", () => {
    for (const page of ["", "<html></html>", "process_cpu_seconds_total 1", "process_cpu_seconds_total x"]) {
      assert.isUndefined(parseServerCpu(page), page)
    }
  })
})

describe("cpuBetween", () => {
  it("needs two readings of the same process", () => {
    const before = { seconds: 10, startedAt: 5 }
    assert.strictEqual(cpuBetween(before, { seconds: 12.5, startedAt: 5 }), 2.5)
    assert.isUndefined(cpuBetween(before, { seconds: 12.5, startedAt: 6 }))
    assert.isUndefined(cpuBetween(before, undefined))
    assert.isUndefined(cpuBetween(undefined, before))
  })
})
