/** Counts the rows of a stream in its tables, because users may have deleted some. */
import { Effect } from "effect"
import { type Contents, DestinationError, emptyContents } from "../Destination.ts"
import { refreshInProgress } from "../manifest.ts"
import type { RunQuery } from "./Dialect.ts"
import type { TableDatabase } from "./TableDatabase.ts"

/** The rows that readers see, or those of a refresh in progress. Returns no rows if a table is missing; `open` reports that. */
export const contentsOf = Effect.fnUntraced(function* (
  open: TableDatabase,
  stream: string,
  of: "current" | "refresh"
) {
  const { damaged, dialect, manifests, query, shapeOf } = open
  if (damaged.has(stream)) {
    return yield* new DestinationError({
      message: `It is not known what ${open.path} has of ${stream}, as its entry is damaged.`
    })
  }
  const manifest = manifests.get(stream)
  if (manifest === undefined) return emptyContents
  if (of === "refresh" && refreshInProgress(manifest) === undefined) return emptyContents
  const next = of === "refresh" ? manifest.next : undefined
  const table = next?.table ?? (manifest.hasTable ? manifest.table : undefined)
  const shape = table === undefined ? undefined : yield* shapeOf(table)
  if (table === undefined || shape === undefined || shape.wrong.includes("time")) return emptyContents
  return yield* query(async (runQuery) => {
    const isAppended = of === "refresh" && next === undefined
    return count(
      runQuery,
      dialect.contents(
        table,
        isAppended ? await dialect.lastRows(runQuery, table, manifest.refreshRows ?? 0) : "true"
      )
    )
  })
})

const count = async (runQuery: RunQuery, sql: string): Promise<Contents> => {
  const [found] = await runQuery(sql)
  const [rows, first, last] = found ?? []
  const millis = (value: unknown) => (typeof value === "number" ? value : null)
  return { rows: Number(rows), firstMillis: millis(first), lastMillis: millis(last) }
}
