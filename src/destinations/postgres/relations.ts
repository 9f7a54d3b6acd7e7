/** What a schema of PostgreSQL has: its relations, and the columns of its tables. */
import { Effect } from "effect"
import type { DestinationError } from "../Destination.ts"
import { folded, type Relation } from "../tables/names.ts"
import { type Shape, typesOfAll } from "../tables/shapes.ts"
import { fromServer, INSERTED, ownTypes, serverText } from "./postgresDialect.ts"

/** Runs a query in DuckDB. */
export type Query = (sql: string) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, DestinationError>

const kindNames: Readonly<Record<string, Relation>> = {
  r: "table",
  p: "table",
  v: "view",
  m: "view",
  f: "view",
  S: "sequence",
  c: "type",
  i: "index",
  I: "index"
}

/** All that has a name in the schema, or one of them, by folded name: indexes and sequences share the names of tables. */
export const readRelations = (query: Query, schema: string, name?: string) =>
  Effect.map(
    query(
      fromServer(
        `SELECT c.relname::text, c.relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = ${serverText(schema)} ${name === undefined ? "" : `AND c.relname = ${serverText(name)}`}`
      )
    ),
    (rows) =>
      new Map(rows.map(([name, kind]) => [folded(String(name)), kindNames[String(kind)] ?? "table"] as const))
  )

/** The shapes of all tables, or of one. */
export const readShapes = (query: Query, schema: string, table?: string) =>
  Effect.map(
    query(
      fromServer(
        // Servers may be set to quote all names.
        `SELECT c.relname::text, a.attname::text, replace(format_type(a.atttypid, a.atttypmod), '"', '')
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE n.nspname = ${serverText(schema)} AND c.relkind IN ('r', 'p')
         ${table === undefined ? "" : `AND c.relname = ${serverText(table)}`} ORDER BY c.oid, a.attnum`
      )
    ),
    (rows) => {
      const types = typesOfAll(ownTypes)
      const shapes = new Map<
        string,
        Shape & { readonly names: Array<string>; readonly wrong: Array<string> }
      >()
      for (const [table, column, type] of rows) {
        const key = folded(String(table))
        let shape = shapes.get(key)
        if (shape === undefined) {
          shape = { names: [], wrong: [...types.keys()] }
          shapes.set(key, shape)
        }
        if (column === null || column === INSERTED) continue
        const name = String(column)
        shape.names.push(name)
        if (types.get(name) === type) shape.wrong.splice(shape.wrong.indexOf(name), 1)
      }
      return shapes
    }
  )
