/** What an attached database of DuckDB has when it is opened: its manifests, and the shapes of its tables. */
import { Effect } from "effect"
import type { DestinationError } from "../Destination.ts"
import type { OpenOptions } from "../DestinationKind.ts"
import type { Dialect, RunQuery } from "./Dialect.ts"
import { loadManifests, type Manifest, renameAbout, tablesOf } from "./manifests.ts"
import { folded, type Relation } from "./names.ts"
import { type Shape, shapeOfOwn, shapesOf } from "./shapes.ts"
import type { startDuckDB } from "./startDuckDB.ts"
import type { TableDatabase } from "./TableDatabase.ts"

/** An attached database. */
interface Attached extends Pick<Effect.Success<ReturnType<typeof startDuckDB>>, "attempt"> {
  readonly connection: Effect.Success<TableDatabase["connect"]>
  /** Whether it has no tables, and no bookkeeping if it is only read. */
  readonly isEmpty: boolean
  readonly relations: ReadonlyMap<string, Relation>
}

export const openTables = Effect.fnUntraced(function* (
  options: OpenOptions & { readonly dialect: Dialect },
  { attempt, connection, isEmpty, relations }: Attached
) {
  const { dialect, readOnly = false } = options
  const runQuery: RunQuery = async (sql) => (await connection.runAndReadAll(sql)).getRowsJS()
  /** The shapes of the tables that are unchanged since then. */
  const shapes = yield* attempt(() => shapesOf(connection))
  const { damaged, manifests } =
    isEmpty && readOnly
      ? { manifests: new Map<string, Manifest>(), damaged: new Set<string>() }
      : yield* loadManifests(options, (sql) => attempt(() => runQuery(sql)), { relations, shapes })
  if (manifests.size === 0 && damaged.size === 0 && !readOnly) {
    yield* attempt(() => connection.run(renameAbout(options)))
  }
  /** The folded names of the other ones. */
  const changed = new Set<string>()
  return {
    runQuery,
    manifests,
    damaged,
    /** The folded names of the tables of all streams. */
    tableNames: new Set(Array.from(manifests.values()).flatMap(tablesOf).map(folded)),
    /** Forgets the shapes of a stream's tables, which a transaction may have changed. Returns their folded names. */
    forget: (before: Manifest | undefined, after: Manifest): ReadonlyArray<string> => {
      const names = [...tablesOf(before), ...tablesOf(after)].map(folded)
      for (const name of names) {
        shapes.delete(name)
        changed.add(name)
      }
      return names
    },
    /** The shape of a table; undefined if it does not exist. */
    shapeOf: (
      table: string,
      exclusively: <A>(effect: Effect.Effect<A, DestinationError>) => Effect.Effect<A, DestinationError>
    ): Effect.Effect<Shape | undefined, DestinationError> =>
      changed.has(folded(table))
        ? exclusively(attempt(() => shapeOfOwn(connection, dialect.qualified(table))))
        : Effect.succeed(shapes.get(folded(table)))
  }
})
