/** A shell command that shows the latest rows of a table, as printed. */
import { shellQuote } from "../../text/shellQuote.ts"
import { quoteName, quoteText } from "../tables/quoteSql.ts"
import type { LakeCatalog } from "./LakeCatalog.ts"
import { type S3Access, secretPlace } from "./s3Access.ts"

export interface PreviewOf {
  readonly catalog: Pick<LakeCatalog, "address" | "isPostgres">
  /** Where the data is, if it is in S3. The command finds keys as AWS' own tools do. */
  readonly access: Pick<S3Access, "bucket" | "endpoint" | "hasBucketInPath" | "region"> | undefined
}

export const previewCommand = ({ access, catalog }: PreviewOf, table: string): string => {
  const extensions = [
    "ducklake",
    ...(catalog.isPostgres ? ["postgres"] : []),
    ...(access === undefined ? [] : ["httpfs", "aws"])
  ]
  const statements = [
    ...extensions.map((name) => `INSTALL ${name}`),
    ...(access === undefined
      ? []
      : [`CREATE SECRET (${["TYPE s3", "PROVIDER credential_chain", ...secretPlace(access)].join(", ")})`]),
    `ATTACH ${quoteText(`ducklake:${catalog.address}`)} AS lake (READ_ONLY)`,
    `FROM lake.${quoteName(table)} ORDER BY time DESC LIMIT 10`
  ]
  return `duckdb -c ${shellQuote(statements.join("; "))}`
}
