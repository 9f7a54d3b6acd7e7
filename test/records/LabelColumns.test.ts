import { assert, describe, it } from "@effect/vitest"
import { assignColumns, columnOf, labelColumns } from "../../src/records/LabelColumns.ts"
import { type Choices, choices } from "../choices.ts"

const reservedColumns = ["time", "value", "special_value", "series_id", "histogram", "other_labels", "labels"]

const stems = [
  ...reservedColumns,
  "job",
  "instance",
  "é",
  "__proto__",
  "constructor",
  "toString",
  "x y",
  "label"
]

const recase = (choices: Choices, text: string): string =>
  choices.pick([text, text.toUpperCase(), `${text.charAt(0).toUpperCase()}${text.slice(1)}`])

const labelNames = (choices: Choices): ReadonlySet<string> =>
  new Set(
    choices.list(
      20,
      () => choices.pick(["", "", "label_", "LABEL_", "label_label_"]) + recase(choices, choices.pick(stems))
    )
  )

const isReserved = (column: string): boolean => reservedColumns.includes(column.toLowerCase())

describe("assignColumns", () => {
  it.prop(
    "assigns columns that a warehouse can distinguish, and that are not reserved",
    [choices],
    ([choices]) => {
      const { columns } = assignColumns(labelNames(choices))
      const folded = columns.map(({ column }) => column.toLowerCase())
      assert.strictEqual(new Set(folded).size, folded.length)
      for (const { column } of columns) assert.isFalse(isReserved(column), column)
    }
  )

  it.prop("assigns a column to every label or reports its clash", [choices], ([choices]) => {
    const labels = labelNames(choices)
    const { clashes, columns } = assignColumns(labels)
    const placed = [...columns, ...clashes].map(({ label }) => label)
    assert.strictEqual(placed.length, labels.size)
    assert.deepStrictEqual(new Set(placed), labels)
    for (const { column, label } of columns) assert.strictEqual(columnOf(label), column)
    for (const { column, label } of clashes) {
      const owner = columns.some((other) => other.column === column)
      assert.isTrue(owner || columnOf(label) === undefined, `${label} clashes with ${column}`)
    }
  })

  it.prop("does not depend on the order of the labels", [choices], ([choices]) => {
    const labels = [...labelNames(choices)]
    assert.deepStrictEqual(assignColumns(choices.shuffle(labels)), assignColumns(labels))
  })

  it.prop("sorts the columns", [choices], ([choices]) => {
    const columns = assignColumns(labelNames(choices)).columns.map(({ column }) => column)
    assert.deepStrictEqual(columns, [...columns].sort())
  })

  it("keeps plain names, and renames reserved ones, ignoring case", () => {
    assert.deepStrictEqual(assignColumns(["job", "time", "Value", "SERIES_ID", "labels"]).columns, [
      { column: "job", label: "job" },
      { column: "label_SERIES_ID", label: "SERIES_ID" },
      { column: "label_Value", label: "Value" },
      { column: "label_labels", label: "labels" },
      { column: "label_time", label: "time" }
    ])
  })

  it("prefers the lower case label if two differ only in case", () => {
    assert.deepStrictEqual(assignColumns(["JOB", "Job", "job"]), {
      columns: [{ column: "job", label: "job" }],
      clashes: [
        { label: "JOB", column: "job" },
        { label: "Job", column: "job" }
      ]
    })
    assert.deepStrictEqual(assignColumns(["Time", "time"]), {
      columns: [{ column: "label_time", label: "time" }],
      clashes: [{ label: "Time", column: "label_time" }]
    })
  })

  it("does not assign a column to which another label is renamed", () => {
    assert.deepStrictEqual(assignColumns(["label_time", "time"]), {
      columns: [{ column: "label_time", label: "time" }],
      clashes: [{ label: "label_time", column: "label_time" }]
    })
    // Not even if the other label is missing: the meaning of a column must not depend on other labels.
    assert.deepStrictEqual(assignColumns(["label_time"]).columns, [])
  })

  it("assigns nothing without labels", () => {
    assert.deepStrictEqual(assignColumns([]), { columns: [], clashes: [] })
  })
})

describe("the columns of a table", () => {
  it.prop("stay unchanged, and are unique, ignoring case", [choices], ([choices]) => {
    const known = ["Job", "instance"]
    const columns = labelColumns(known)
    const given = new Map<string, string>()
    for (let step = 0; step < 40; step++) {
      const label = choices.pick([...labelNames(choices), "job", "Job", "INSTANCE"])
      const column = columns.columnFor(label)
      if (column === undefined) continue
      assert.strictEqual(column, columnOf(label))
      assert.strictEqual(given.get(label) ?? column, column)
      given.set(label, column)
    }
    assert.deepStrictEqual(columns.names.slice(0, 2), known)
    assert.isFalse(given.has("job") || given.has("INSTANCE"))
    const folded = columns.names.map((name) => name.toLowerCase())
    assert.strictEqual(new Set(folded).size, folded.length)
    for (const column of given.values()) assert.include(columns.names, column)
  })

  it("are limited in number", () => {
    const columns = labelColumns(["a"], columnOf, 2)
    assert.deepStrictEqual(["b", "c", "a", "b"].map(columns.columnFor), ["b", undefined, "a", "b"])
    assert.deepStrictEqual(columns.names, ["a", "b"])
  })
})
