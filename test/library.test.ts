/** The library as programs import it: what its types call the settings and the rows of streams. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  ConnectorConfig,
  type GroupSettings,
  type QuerySettings,
  type Row,
  type RowBlock,
  read,
  StateStore,
  type TableSchema,
  tableSchemas
} from "../src/index.ts"
import { layerMock, MockPrometheus, makeDatabase } from "../src/testing.ts"
import { gauge, iso, minute, start } from "./support/gauge.ts"
import { drive } from "./sync/readMock.ts"

it.effect("reads the rows of a table, whose columns are known", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(start + minute)
    const database = makeDatabase(gauge("up", 1), [["up", { type: "gauge", help: "Is it up?", unit: "" }]])
    const config = ConnectorConfig.layer({
      base_url: "http://mock",
      start_date: iso(start),
      tables: ["metadata"],
      queries: [{ name: "ups", expression: "up" }],
      groups: [{ name: "all", metrics: { include: ["*"] } }]
    })
    const services = layerMock(new MockPrometheus(database)).pipe(
      Layer.provideMerge(config),
      Layer.merge(StateStore.layerMemory())
    )
    const schema: TableSchema = tableSchemas.metadata
    const rows: Array<Row> = []
    const add = (block: RowBlock) => void rows.push(...block.rows)
    yield* read([{ name: schema.stream, mode: "full_refresh" }]).pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => {
          if (event._tag === "Rows") event.blocks.forEach(add)
        })
      ),
      drive,
      Effect.provide(services)
    )
    assert.lengthOf(rows, 1)
    assert.sameMembers(
      Object.keys(rows[0]!),
      schema.columns.map(({ name }) => name)
    )
    const { groups, queries } = yield* Effect.provide(ConnectorConfig, config)
    const [query]: ReadonlyArray<QuerySettings> = queries
    const [group]: ReadonlyArray<GroupSettings> = groups
    assert.deepStrictEqual([query?.expression.text, group?.name], ["up", "all"])
  })
)
