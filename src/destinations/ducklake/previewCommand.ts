/** A shell command that shows the latest rows of a table, as printed. */
import { shellQuote } from "../../text/shellQuote.ts"
import { quoteName, quoteText } from "../tables/quoteSql.ts"
import type { LakeCatalog } from "./LakeCatalog.ts"

export const previewCommand = (catalog: LakeCatalog, table: string): string => {
  const extensions = ["ducklake", ...(catalog.isPostgres ? ["postgres"] : [])]
  const statements = [
    ...extensions.map((name) => `INSTALL ${name}`),
    `ATTACH ${quoteText(`ducklake:${catalog.address}`)} AS lake (READ_ONLY)`,
    `FROM lake.${quoteName(table)} ORDER BY time DESC LIMIT 10`
  ]
  return `duckdb -c ${shellQuote(statements.join("; "))}`
}
