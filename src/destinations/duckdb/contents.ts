/** Counts the rows of a stream in its tables, because users may have deleted some. */
import { Effect } from "effect"
import { type Contents, DestinationError, emptyContents } from "../Destination.ts"
import { refreshInProgress } from "../manifest.ts"
import type { Database, RunQuery } from "./Database.ts"
import type { Manifest } from "./manifests.ts"
import { qualified } from "./tables.ts"

/** The rows that readers see, or those of a refresh in progress. Returns no rows if a table is missing; `open` reports that. */
export const contentsOf = Effect.fnUntraced(function* (
  open: Database,
  stream: string,
  of: "current" | "refresh"
) {
  const { damaged, manifests, query, shapeOf } = open
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
      table,
      isAppended ? `rowid >= ${await firstOfRefresh(runQuery, manifest)}` : "true"
    )
  })
})

/** The first id of the rows of the refresh in progress, which are the last rows of the table. */
const firstOfRefresh = async (runQuery: RunQuery, { refreshRows = 0, table }: Manifest): Promise<number> => {
  const from = qualified(table)
  const [all] = await runQuery(`SELECT count(*)::DOUBLE, max(rowid)::DOUBLE FROM ${from}`)
  const [rows, last] = [Number(all?.[0]), all?.[1]]
  const end = last === null ? 0 : Number(last) + 1
  if (refreshRows === 0) return end
  // Ids without gaps need no sorting.
  if (end === rows) return Math.max(0, end - refreshRows)
  const [found] = await runQuery(
    `SELECT min(id)::DOUBLE FROM (SELECT rowid AS id FROM ${from} ORDER BY id DESC LIMIT ${refreshRows})`
  )
  return Number(found?.[0])
}

const count = async (runQuery: RunQuery, table: string, condition: string): Promise<Contents> => {
  const [found] = await runQuery(
    `SELECT count(*)::DOUBLE, epoch_ms(min(time))::DOUBLE, epoch_ms(max(time))::DOUBLE FROM ${qualified(table)} WHERE ${condition}`
  )
  const [rows, first, last] = found ?? []
  const millis = (value: unknown) => (typeof value === "number" ? value : null)
  return { rows: Number(rows), firstMillis: millis(first), lastMillis: millis(last) }
}
