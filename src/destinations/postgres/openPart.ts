/** Writes one part of a stream, beside other processes that write other parts of it, or the same one. */
import { Effect, Option, Struct } from "effect"
import type { SampleBlock } from "../../samples/Sample.ts"
import { overlapWith, type PartResult, withPart } from "../../sync/partState.ts"
import { decodeState } from "../../sync/StateStore.ts"
import { encodeStreamState } from "../../sync/StreamState.ts"
import { ContentsTally } from "../contents.ts"
import { type Contents, DestinationError } from "../Destination.ts"
import { later } from "../manifest.ts"
import type { PartWriter } from "../SharedDestination.ts"
import { comparisons, insertStaged, removeRepeated, removeStaged } from "../tables/insertStaged.ts"
import type { Manifest } from "../tables/manifests.ts"
import { isBetween, type TimeRange } from "../tables/names.ts"
import { quoteName } from "../tables/quoteSql.ts"
import { type StagedSamples, stageSamples } from "../tables/staging/StagedSamples.ts"
import {
  areSame,
  rulesIn,
  type SeenLabels,
  seenAgain,
  seenLabels,
  stageSeriesAgain
} from "../tables/staging/seenLabels.ts"
import { partsOf } from "../tables/uniqueRows.ts"
import { type Agreement, persistently } from "./agreement.ts"
import type { OpenSchema } from "./openSchema.ts"
import { fromServer, onServer, timeBetween } from "./postgresDialect.ts"
import { isPassing } from "./postgresError.ts"
import { KEEP_ALIVE, WITHOUT_TIMEOUTS } from "./schemaLock.ts"

/** How an attempt to commit ends: it is rolled back unless it is committed. */
type Outcome = "committed" | "nothing left" | "changed meanwhile"

/** The state in a manifest. */
const stateOf = ({ state, stream }: Manifest) =>
  Effect.mapBoth(decodeState(stream, state), {
    onSuccess: Option.getOrUndefined,
    onFailure: ({ message }) => new DestinationError({ message })
  })

/** The times at which a table may have rows with the series and time of a part's rows. */
const overlapOf = (
  state: Parameters<typeof overlapWith>[0],
  part: PartResult,
  { firstMillis, lastMillis }: Contents
): TimeRange | undefined => {
  const spans = overlapWith(state, part)
  if (spans.length === 0 || firstMillis === null || lastMillis === null) return undefined
  const first = Math.max(firstMillis, spans[0]!.firstMillis)
  const last = Math.min(lastMillis, spans.at(-1)!.lastMillis)
  return first > last ? undefined : { first, last }
}

/** Opens a stream for one part until the scope closes. */
export const openPart = Effect.fnUntraced(function* (
  { database, exclusively, isStillWriter }: OpenSchema,
  agreement: Agreement,
  stream: string
) {
  const { attempt, dialect, duckdb } = database
  const layout = database.layoutOf(stream)
  const rules = rulesIn(layout, { columnOf: dialect.columnOf, most: database.maxLabels() })
  const opened = yield* agreement.open(stream)
  if (opened.manifest.table !== stream) {
    yield* Effect.logWarning(
      `The stream ${stream} is in the table ${quoteName(opened.manifest.table)}: ${dialect.engine} does not distinguish its name from that of another table.`
    )
  }
  const connection = yield* database.connect
  const run = agreement.runOn(connection)
  const query = agreement.queryOn(connection)
  let labels: SeenLabels | undefined = rules && seenLabels(opened.labels, rules)
  const staging = stageSamples(duckdb, connection, labels, layout, dialect)
  let staged: StagedSamples = staging
  const tally = new ContentsTally()

  const append = async (blocks: ReadonlyArray<SampleBlock>) => {
    for (const block of blocks) {
      if (block.length === 0) continue
      tally.add(block)
      await staging.append(block)
    }
  }

  /** The columns that the samples need in a table with some columns. */
  const wanted = (known: ReadonlyArray<string>): ReadonlyArray<string> =>
    labels === undefined || rules === undefined ? [] : [...seenAgain(labels, known, rules).names]

  /** Gives the labels the columns that the table has now. */
  const fitColumns = Effect.fnUntraced(function* (known: ReadonlyArray<string>) {
    if (labels === undefined || rules === undefined) return
    const before = labels
    const after = seenAgain(before, known, rules)
    // Labels stay in the order in which they were staged, as long as they have the same columns.
    if (areSame(before, after)) return
    yield* attempt(() => stageSeriesAgain(duckdb, connection, before, after, dialect.acceptsText))
    labels = after
    staged = { ...staging, labels: after }
  })

  /** A query for staged rows that are in the table already. */
  const sameRows = (table: string, part: TimeRange): string => {
    const old = fromServer(
      `SELECT series_id, time, value, special_value, histogram::text AS histogram FROM ${agreement.table(table)} WHERE ${timeBetween(part)}`
    )
    return comparisons(staged, isBetween("r.time", part))
      .map(
        ({ differs, rows }) =>
          `SELECT new.series, new.time FROM (${old}) AS old JOIN temp.staged_series AS s ON s.series_id = old.series_id
           JOIN (${rows}) AS new ON new.series = s.number AND new.time = old.time WHERE NOT (${differs})`
      )
      .join(" UNION ALL ")
  }

  /**
   * Removes the rows whose series and time this transaction has inserted again. The server cannot know how many rows these are, so
   * it is kept from comparing each with each.
   */
  const replace = (table: string, overlap: TimeRange): string =>
    onServer(`
      SET LOCAL enable_nestloop = off;
      DELETE FROM ${agreement.table(table)} AS old USING ${agreement.table(table)} AS new
      WHERE ${timeBetween(overlap, "old.time")} AND ${timeBetween(overlap, "new.time")}
      AND new.xmin = pg_current_xact_id()::xid AND old.xmin <> pg_current_xact_id()::xid
      AND new.series_id = old.series_id AND new.time = old.time`)

  const rollBack = Effect.promise(() =>
    connection.run("ROLLBACK").then(
      () => {},
      () => {}
    )
  )

  /** Whether the outcome of an earlier attempt is unknown, because the connection was lost during its commit. */
  let mayBeCommitted = false

  const tryCommit = Effect.fnUntraced(function* (part: PartResult, rows: Contents, leavesSame: boolean) {
    const found = yield* agreement.open(stream)
    const first = yield* stateOf(found.manifest)
    if (withPart(first, part) === undefined) return "nothing left" as const
    if (!found.manifest.isUnique) {
      return yield* new DestinationError({
        message: `${stream} in ${database.path} may have repeated rows, which a run without parts has appended meanwhile. Start this process again.`
      })
    }
    yield* fitColumns(yield* agreement.prepare(stream, found.manifest, wanted))
    const before = yield* agreement.alone(agreement.latest(stream))
    const { table } = found.manifest
    const assumed =
      leavesSame && before !== undefined ? overlapOf(yield* stateOf(before.manifest), part, rows) : undefined
    const known = assumed === undefined ? [] : yield* partsOf(database, table, assumed)

    const transaction = Effect.gen(function* () {
      yield* run(onServer(`${WITHOUT_TIMEOUTS}; ${KEEP_ALIVE}`))
      if (staged.hasRepeated()) for (const sql of removeRepeated(staged)) yield* run(sql)
      let left = 0
      for (const part of known) {
        for (const sql of removeStaged(staged, sameRows(table, part))) left += (yield* run(sql)).rowsChanged
      }
      if (rows.rows > 0) yield* run(insertStaged(dialect.qualified(table), staged, false))
      // From here on, the commits of the stream wait for each other.
      yield* run(agreement.lockManifest(stream))
      const now = yield* agreement.latest(stream, query)
      if (now === undefined || now.manifest.table !== table || !now.manifest.hasTable) {
        return yield* new DestinationError({
          message: `${stream} in ${database.path} was changed by another program. Start this process again: what was committed is kept.`
        })
      }
      const state = yield* stateOf(now.manifest)
      const next = withPart(state, part)
      if (next === undefined) return "nothing left" as const
      // The rows that were in the table already may have been replaced.
      if (left > 0 && now.version !== before?.version) return "changed meanwhile" as const
      const overlap = overlapOf(state, part, rows)
      if (overlap !== undefined) yield* run(replace(table, overlap))
      yield* agreement.save(connection, {
        ...Struct.omit(now.manifest, ["next", "nextKind", "refreshRows", "refreshState"]),
        state: encodeStreamState(next),
        lastMillis: later(now.manifest.lastMillis, rows.lastMillis)
      })
      yield* run(isStillWriter)
      return "committed" as const
    })
    return yield* run("BEGIN").pipe(
      Effect.andThen(transaction),
      Effect.tap((outcome) =>
        outcome === "committed"
          ? Effect.tapError(run("COMMIT"), (error) =>
              Effect.sync(() => {
                mayBeCommitted = isPassing(error)
              })
            )
          : rollBack
      ),
      Effect.onError(() => rollBack),
      exclusively
    )
  })

  const commit = Effect.fnUntraced(function* (part: PartResult) {
    yield* attempt(staging.flush)
    staging.mark()
    const rows = tally.take()
    let outcome: Outcome = yield* persistently(tryCommit(part, rows, true))
    if (outcome === "changed meanwhile") outcome = yield* persistently(tryCommit(part, rows, false))
    return outcome === "committed" || mayBeCommitted
  })

  const writer: PartWriter = {
    write: (blocks) => Effect.uninterruptible(attempt(() => append(blocks))),
    commit: (part) => Effect.uninterruptible(commit(part))
  }
  return writer
})
