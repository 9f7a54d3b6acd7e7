/** What a run that was stopped between the transactions of one piece of work has left of it. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect } from "effect"
import { without } from "../manifest.ts"
import type { TableEntry } from "./bookkeeping.ts"
import type { Opened, Place } from "./OpenDatabase.ts"
import { folded, qualified, timeLiteral } from "./tables.ts"

/**
 * Removes a table that was being made, and rows that are ahead of the state, which are read again, unless a refresh is to replace
 * all of them. Their place in the file is lost: beside an index nothing is put there.
 */
export const cleanUp = Effect.fnUntraced(function* (
  place: Place,
  connection: DuckDBConnection,
  { entry, isLost }: Opened
) {
  const { making, next } = entry
  const isBehind = isLost || entry.ahead === undefined
  if (making === undefined && isBehind && next?.ahead === undefined) return entry
  const cleaned = yield* place.database.transact(connection, async (run) => {
    if (making !== undefined) await run(`DROP TABLE IF EXISTS ${qualified(making)}`)
    const behindState = async <T extends TableEntry>(of: T): Promise<T> => {
      const { ahead, table } = of
      if (ahead === undefined) return of
      const which = ahead === null ? "" : ` WHERE time > ${timeLiteral(ahead)}`
      await run(`DELETE FROM ${qualified(table)}${which}`)
      return { ...(without(of, "ahead") as T), lastMillis: ahead }
    }
    return {
      ...(isBehind ? without(entry, "making") : await behindState(without(entry, "making"))),
      ...(next === undefined ? {} : { next: await behindState(next) })
    }
  })
  if (making !== undefined) place.taken.delete(folded(making))
  return cleaned
})
