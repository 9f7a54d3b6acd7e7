/** Writes the columns of Prometheus' tables into docs/tables.md: `node scripts/tableReference.ts`. */
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { tableNames, tableSchemas } from "../src/prometheus/tables/schemas.ts"

const START = "<!-- The columns, from src/prometheus/tables/schemas.ts. -->\n"

/** The columns of all tables as Markdown. */
export const tableReference = (): string =>
  tableNames
    .map((name) => {
      const { columns, description, stream } = tableSchemas[name]
      const rows = columns.map((column) => `| \`${column.name}\` | ${column.kind} | ${column.description} |`)
      return [
        `### ${stream}`,
        "",
        description,
        "",
        "| column | type | meaning |",
        "| --- | --- | --- |",
        ...rows
      ].join("\n")
    })
    .join("\n\n")

/** A page with the columns after their mark. */
export const withTableReference = (page: string): string => {
  const [before = ""] = page.split(START)
  return `${before.trimEnd()}\n\n${START}\n${tableReference()}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL("../docs/tables.md", import.meta.url))
  writeFileSync(path, withTableReference(readFileSync(path, "utf8")))
}
