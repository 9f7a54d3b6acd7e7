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
  "label",
  "k8s.pod.name",
  "k8s_pod_name",
  "k8s-pod name",
  "special.value",
  "1a",
  "_1a",
  "_",
  "漢字",
  "_airbyte_raw_id",
  "airbyte_raw_id"
]

/** How PyAirbyte names a column, character by character. */
const pyAirbyteName = (column: string): string => {
  const name = Array.from(column.toLowerCase(), (character) =>
    /^[a-z0-9]$/.test(character) ? character : "_"
  ).join("")
  return /^[0-9]/.test(name) ? `_${name}` : name
}

/** How Airbyte's destinations do: without accents, and a run of blanks is one character. */
const destinationName = (column: string): string =>
  pyAirbyteName(
    Array.from(column.normalize("NFKD"))
      .filter((character) => !/\p{M}/u.test(character))
      .join("")
      .split(/\s+/u)
      .join("_")
  )

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

  it.prop(
    "assigns columns that a platform stores under different names, also from its own and from ours",
    [choices],
    ([choices]) => {
      const { columns } = assignColumns(labelNames(choices))
      const all = [...columns.map(({ column }) => column), ...reservedColumns]
      for (const storedName of [pyAirbyteName, destinationName]) {
        const stored = all.map(storedName)
        assert.strictEqual(new Set(stored).size, stored.length, JSON.stringify(stored))
        for (const name of stored) {
          assert.match(name, /[a-z0-9]/)
          assert.notMatch(name, /^_(airbyte|ab)_/)
        }
      }
    }
  )

  it.each<readonly [labels: ReadonlyArray<string>, columns: ReadonlyArray<string>, clashes: object]>([
    [["k8s.pod.name", "k8s_pod_name"], ["k8s_pod_name"], { "k8s.pod.name": "k8s_pod_name" }],
    [["a-b", "a b"], ["a b"], { "a-b": "a b" }],
    [["a-b", "A b"], ["a-b"], { "A b": "a-b" }],
    [["k8s.pod.name"], ["k8s.pod.name"], {}],
    [["a_b", "a__b"], ["a__b", "a_b"], {}],
    [["a  b", "a b"], ["a  b"], { "a b": "a  b" }],
    [["é", "e", "ê"], ["e"], { é: "e", ê: "e" }],
    [["1a", "_1a"], ["_1a"], { "1a": "_1a" }],
    [
      ["_airbyte_raw_id", "_ab_cdc", "airbyte"],
      ["airbyte"],
      { _airbyte_raw_id: "_airbyte_raw_id", _ab_cdc: "_ab_cdc" }
    ],
    [
      ["special.value", "series-id", "time"],
      ["label_time"],
      { "special.value": "special_value", "series-id": "series_id" }
    ],
    [["label.time", "time"], ["label_time"], { "label.time": "label_time" }],
    [["_", "漢字", "x漢"], ["x漢"], { _: "_", 漢字: "漢字" }]
  ])("of %j has %j", (labels, columns, clashes) => {
    const assigned = assignColumns(labels)
    assert.deepStrictEqual(
      assigned.columns.map(({ column }) => column),
      columns
    )
    assert.deepStrictEqual(
      Object.fromEntries(assigned.clashes.map(({ column, label }) => [label, column])),
      clashes
    )
  })

  it.prop("assigns a column to every label or reports its clash", [choices], ([choices]) => {
    const labels = labelNames(choices)
    const { clashes, columns } = assignColumns(labels)
    const placed = [...columns, ...clashes].map(({ label }) => label)
    assert.strictEqual(placed.length, labels.size)
    assert.deepStrictEqual(new Set(placed), labels)
    for (const { column, label } of columns) assert.strictEqual(columnOf(label), column)
    for (const { column, label } of clashes) {
      const owner = columns.some((other) => other.column === column)
      const hasName = /[a-z0-9]/.test(pyAirbyteName(label)) && !/^_(airbyte|ab)_/i.test(label)
      const isOurs = isReserved(column)
      assert.isTrue(owner || isOurs || !hasName || columnOf(label) === undefined, `${label}: ${column}`)
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
