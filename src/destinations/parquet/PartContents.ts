/** What the part files of a stream contain, for the code that writes them: samples with their labels, or rows of a table. */
import type { DuckDBConnection } from "@duckdb/node-api"
import { columnsIn } from "../../records/LabelColumns.ts"
import type { StreamKind } from "../../samples/Layout.ts"
import type { SampleBlock } from "../../samples/Sample.ts"
import { RECORD_ID, type RowBlock, type TableSchema } from "../../samples/TableRow.ts"
import type { TimedBlock } from "../contents.ts"
import { stageSamples } from "../tables/staging/StagedSamples.ts"
import { stageTable } from "../tables/staging/StagedTable.ts"
import type { Part } from "../tables/staging/stagedRows.ts"
import { DAY } from "./Days.ts"
import type { Engine } from "./engine.ts"
import type { PartPlace } from "./PartPlace.ts"
import { parquetColumnOf, rowsOfDay, seriesOf } from "./parquetRows.ts"

/** A query for the rows of a part and a day: only the last row of each key and time, or all rows. */
type RowsOfDay = (part: Part, midnight: number, isUnique: boolean) => string

/** Blocks that are staged for part files. */
interface StagedBlocks<Block> {
  readonly append: (block: Block) => Promise<void>
  readonly mark: () => void
  readonly bytes: () => number
  readonly hasRepeated: () => boolean
  /** Must be called before the query. */
  readonly flush: () => Promise<void>
  /** The query for everything that is staged now. */
  readonly query: () => Promise<RowsOfDay>
  readonly removeMarked: () => Promise<void>
  readonly clear: () => Promise<void>
  /** The columns that differ between streams. */
  readonly columns: () => ReadonlyArray<string>
}

/** What the part files of a stream contain. */
export interface PartContents<Block extends TimedBlock> {
  readonly kind: StreamKind
  /** The column that identifies a row together with `time`. */
  readonly key: "series_id" | typeof RECORD_ID
  /** Stages blocks of a stream whose files have these columns. */
  readonly stage: (connection: DuckDBConnection, known: ReadonlyArray<string>) => StagedBlocks<Block>
}

/** The samples of a stream. */
export const samplesIn = (
  place: Pick<PartPlace, "kindOf" | "layoutOf">,
  { duckdb }: Engine,
  stream: string
): PartContents<SampleBlock> => ({
  kind: place.kindOf(stream),
  key: "series_id",
  stage: (connection, known) => {
    const layout = place.layoutOf(stream)
    const labels = columnsIn(layout, known, parquetColumnOf)
    const staged = stageSamples(duckdb, connection, labels, layout)
    return {
      ...staged,
      query: async () => {
        const series = await seriesOf(staged, connection)
        return (part, midnight, isUnique) => rowsOfDay(staged, series, part, midnight, isUnique)
      },
      columns: () => [...(labels?.names ?? [])]
    }
  }
})

/** The rows of a table. */
export const rowsOf = ({ duckdb }: Engine, { columns }: TableSchema): PartContents<RowBlock> => ({
  kind: "table",
  key: RECORD_ID,
  stage: (connection) => {
    const staged = stageTable(duckdb, connection, columns)
    return {
      ...staged,
      query: async () => (part, midnight, isUnique) => {
        const rows = staged.select(part, (object) => object, `epoch_ms(r.time) // ${DAY} = ${midnight / DAY}`)
        const last = isUnique
          ? ` QUALIFY row_number() OVER (PARTITION BY ${RECORD_ID}, time ORDER BY number DESC) = 1`
          : ""
        return `SELECT * EXCLUDE (number) FROM (${rows})${last}`
      },
      columns: () => []
    }
  }
})
