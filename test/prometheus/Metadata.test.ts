import { assert, describe, it } from "@effect/vitest"
import { findMetadata } from "../../src/prometheus/Metadata.ts"

describe("findMetadata", () => {
  const of = (type: string) => ({ type, help: "", unit: "" })
  const metadata = new Map([
    ["latency", of("histogram")],
    ["jobs_total", of("counter")],
    ["jobs", of("gauge")],
    ["build", of("info")]
  ])

  it("finds a metric by its own name first", () => {
    assert.strictEqual(findMetadata(metadata, "jobs_total")?.type, "counter")
    assert.strictEqual(findMetadata(metadata, "jobs")?.type, "gauge")
  })

  it("finds the parts of a family", () => {
    for (const suffix of ["_bucket", "_sum", "_count", "_total", "_created", "_info", "_gsum", "_gcount"]) {
      assert.strictEqual(findMetadata(metadata, `latency${suffix}`)?.type, "histogram", suffix)
    }
    assert.strictEqual(findMetadata(metadata, "build_info")?.type, "info")
  })

  it("ignores families whose names only look similar", () => {
    for (const name of ["latency_max", "latencybucket", "late", "_sum", "latency_sum_sum"]) {
      assert.isUndefined(findMetadata(metadata, name), name)
    }
  })
})
