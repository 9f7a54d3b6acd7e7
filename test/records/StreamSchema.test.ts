import { assert, describe, it } from "@effect/vitest"
import { Ajv } from "ajv"
import addFormats from "ajv-formats"
import { Schema } from "effect"
import { assignColumns } from "../../src/records/LabelColumns.ts"
import { describeMetric, discoveredLabels, streamSchema } from "../../src/records/StreamSchema.ts"

interface RecordSchema {
  readonly type: unknown
  readonly description?: string
  readonly properties: Readonly<Record<string, { readonly type: unknown; readonly description: string }>>
}

const schemaOf = (labels: ReadonlyArray<string> | undefined, description = ""): RecordSchema =>
  JSON.parse(
    JSON.stringify(
      streamSchema(labels === undefined ? undefined : assignColumns(labels).columns, description)
    )
  ) as RecordSchema

const compile = (schema: RecordSchema) => {
  const ajv = new Ajv({
    strict: true,
    allowUnionTypes: true,
    keywords: ["airbyte_type"]
  })
  addFormats.default(ajv)
  return ajv.compile({ ...schema, additionalProperties: false })
}

describe("streamSchema", () => {
  it("declares the fixed columns, a nullable string per label, and other_labels", () => {
    const { properties } = schemaOf(["job", "time"])
    assert.deepStrictEqual(Object.keys(properties), [
      "time",
      "value",
      "special_value",
      "series_id",
      "histogram",
      "job",
      "label_time",
      "other_labels"
    ])
    assert.deepStrictEqual<unknown>(properties.job, { type: ["string", "null"] })
    assert.deepStrictEqual(properties.label_time?.description, "The label time.")
    assert.deepStrictEqual<unknown>(properties.time, {
      type: "string",
      format: "date-time",
      airbyte_type: "timestamp_with_timezone",
      description: "The sample's time, UTC."
    })
    assert.deepStrictEqual(properties.value?.type, ["number", "null"])
    assert.deepStrictEqual(properties.special_value?.type, ["string", "null"])
    assert.strictEqual(properties.series_id?.type, "string")
  })

  it("lists the labels with a column, to detect deselected ones", () => {
    const { properties } = schemaOf(["job", "Job", "time", "label_value"])
    assert.deepStrictEqual(discoveredLabels(properties), ["job", "time"])
    assert.isUndefined(discoveredLabels(schemaOf(undefined).properties))
  })

  it.prop("lists labels of any name", [Schema.Array(Schema.String)], ([labels]) => {
    const { columns } = assignColumns(new Set(labels))
    const { properties } = JSON.parse(JSON.stringify(streamSchema(columns, "")))
    assert.deepStrictEqual(
      discoveredLabels(properties),
      columns.map(({ label }) => label)
    )
  })

  it("is small: a catalog of 3,000 metrics with 15 labels is well below 10 MB", () => {
    const labels = Array.from({ length: 15 }, (_, i) => `a_label_of_kubernetes_${i}`)
    assert.isBelow(3000 * JSON.stringify(schemaOf(labels, "x".repeat(150))).length, 7_000_000)
  })

  it("declares one object for all labels if columns are off", () => {
    const { properties } = schemaOf(undefined)
    assert.deepStrictEqual(Object.keys(properties), [
      "time",
      "value",
      "special_value",
      "series_id",
      "histogram",
      "labels"
    ])
    assert.strictEqual(properties.labels?.type, "object")
  })

  it("is a draft 7 schema that accepts records and refuses others", () => {
    const validate = compile(schemaOf(["job"]))
    const record = { time: "2026-01-01T00:00:00.001Z", value: 1e300, series_id: "0".repeat(32) }
    assert.isTrue(validate(record))
    assert.isTrue(
      validate({ ...record, value: null, special_value: "NaN", job: null, other_labels: { a: "b" } })
    )
    assert.isFalse(validate({ ...record, value: "1" }))
    assert.isFalse(validate({ ...record, time: "noon" }))
    assert.isFalse(validate({ ...record, zone: "a" }))
  })

  it("has columns for labels named like members of Object.prototype", () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      assert.include(Object.keys(schemaOf([name]).properties), name)
    }
  })

  it("uses no keyword that platforms refuse", () => {
    const text = JSON.stringify([schemaOf(["job"], "A metric."), schemaOf(undefined)])
    for (const word of ["$ref", "allOf", "anyOf", "oneOf", '"not"', '"additionalProperties":false']) {
      assert.notInclude(text, word)
    }
  })

  it("includes the description of the metric, if there is one", () => {
    assert.strictEqual(schemaOf([], "counter. Requests.").description, "counter. Requests.")
    assert.notProperty(schemaOf([]), "description")
  })
})

describe("describeMetric", () => {
  it("formats type, help and unit as sentences", () => {
    assert.strictEqual(
      describeMetric({ type: "counter", help: "Requests served.", unit: "seconds" }),
      "counter. Requests served. Unit: seconds."
    )
    assert.strictEqual(describeMetric({ type: "gauge", help: " Is it up? ", unit: "" }), "gauge. Is it up?")
    assert.strictEqual(describeMetric({ type: "gauge", help: "", unit: "" }), "gauge.")
  })

  it("truncates a long help text between characters", () => {
    for (const unit of ["x", "😀", "a😀"]) {
      const description = describeMetric({ type: "gauge", help: unit.repeat(100_000), unit: "" })
      assert.isBelow(description.length, 2100)
      assert.match(description, /^gauge\. .*…$/)
      assert.isTrue(description.isWellFormed())
    }
  })

  it("omits unknown parts", () => {
    assert.strictEqual(describeMetric(undefined), "")
    assert.strictEqual(describeMetric({ type: "", help: "", unit: "" }), "")
  })
})
