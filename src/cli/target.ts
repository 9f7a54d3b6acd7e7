/** Where a run puts what it reads, as `--to` says it. */
import { Result } from "effect"
import { expandHome, homeOf } from "../text/homePath.ts"

/** A destination that is not open yet. */
export interface Target {
  readonly format: "duckdb" | "parquet" | "jsonl"
  /** A file for DuckDB, a folder for the others. */
  readonly path: string
}

const formats: ReadonlySet<string> = new Set<Target["format"]>(["duckdb", "parquet", "jsonl"])

const isFormat = (text: string): text is Target["format"] => formats.has(text)

const ACCEPTED = "duckdb:FILE, parquet:DIR or jsonl:DIR"

/** Reads `duckdb:FILE`, `parquet:DIR` or `jsonl:DIR`; fails with a sentence for the user. */
export const parseTarget = (text: string): Result.Result<Target, string> => {
  const colon = text.indexOf(":")
  const format = text.slice(0, Math.max(0, colon))
  const path = text.slice(colon + 1)
  if (isFormat(format) && isElsewhere(path)) {
    return Result.fail(
      `--to is ${JSON.stringify(text)}, but must name a path on this machine: nothing is written anywhere else.${localPath(path)}`
    )
  }
  if (isFormat(format) && path !== "") {
    return Result.mapBoth(expandHome(path, homeOf(process.env)), {
      onSuccess: (path) => ({ format, path }),
      onFailure: (why) => `--to is ${JSON.stringify(text)}, but ${why}.`
    })
  }
  return Result.fail(`--to is ${JSON.stringify(text)}, but must be ${ACCEPTED}${suggestion(text, format)}.`)
}

/** Whether a path would be taken for an address, or for no file at all, by DuckDB and whoever reads the data. */
const isElsewhere = (path: string): boolean => /^(:memory:|[a-z][a-z0-9+.-]+:)/i.test(path)

/** How a file is named that is called like an address. One letter and a colon is a drive. */
const localPath = (path: string): string =>
  path.startsWith(":") || path.includes("://") ? "" : ` A file of that name is ./${path}.`

/** What was meant, as far as the name tells. */
const suggestion = (text: string, format: string): string => {
  if (isFormat(format) || isFormat(text)) return ", and the path is missing"
  if (/\.(duckdb|db)$/i.test(text)) return `, such as duckdb:${text}`
  if (/\.jsonl?(\.gz)?$/i.test(text)) return ": JSON lines go into a folder with one file per stream"
  return ""
}

export const targetText = ({ format, path }: Target): string => `${format}:${path}`
