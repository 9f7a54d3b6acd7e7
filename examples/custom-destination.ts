/**
 * Replicates metrics into a SQLite database of your own, exactly once: samples and state are committed in one transaction,
 * so that the next run resumes where this one ended, even after a crash. Run it with `node custom-destination.ts`.
 */
import { DatabaseSync } from "node:sqlite"
import { Console, Effect, Layer, Stream } from "effect"
import {
  ConnectorConfig,
  encodeStreamState,
  PrometheusClient,
  type ReadEvent,
  read,
  StateReader,
  samplesOf
} from "source-prometheus"

const database = new DatabaseSync(process.env.DATABASE ?? "metrics.sqlite")
database.exec(`
  CREATE TABLE IF NOT EXISTS samples (
    metric TEXT, series_id TEXT, time TEXT, value REAL, labels TEXT,
    PRIMARY KEY (metric, series_id, time)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS states (metric TEXT PRIMARY KEY, state TEXT);
`)
const insertSample = database.prepare("INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?)")
const insertState = database.prepare("INSERT OR REPLACE INTO states VALUES (?, ?)")
const selectState = database.prepare("SELECT state FROM states WHERE metric = ?")

/** The states from which a read resumes. */
const states = StateReader.layerJson((metric) =>
  Effect.sync(() => {
    const row = selectState.get(metric)
    return row === undefined ? undefined : JSON.parse(String(row.state))
  })
)

const handle = Effect.fnUntraced(function* (event: ReadEvent) {
  const metric = event.stream
  switch (event._tag) {
    case "Samples":
      if (!database.isTransaction) database.exec("BEGIN")
      for (const block of event.blocks) {
        const labels = JSON.stringify(Object.fromEntries(block.series.labels))
        for (const { seriesId, time, value } of samplesOf(block)) {
          insertSample.run(metric, seriesId, time.toISOString(), value, labels)
        }
      }
      return
    case "Checkpoint":
      // The read has emitted all samples up to this state. The commit makes both visible together.
      if (!database.isTransaction) database.exec("BEGIN")
      insertState.run(metric, JSON.stringify(encodeStreamState(event.state)))
      return database.exec("COMMIT")
    case "Failed":
      if (database.isTransaction) database.exec("ROLLBACK")
      process.exitCode = 1
      return yield* Console.error(`${metric}: ${event.error.message}`)
  }
})

const config = ConnectorConfig.layer({
  base_url: process.env.PROMETHEUS_URL ?? "http://localhost:9090",
  start_date: "2026-01-01",
  step: "1h"
})

// One metric at a time, since there is one transaction.
await read(
  ["up", "queue_depth"].map((name) => ({ name, mode: "incremental" })),
  { concurrentStreams: 1 }
).pipe(
  Stream.runForEach(handle),
  Effect.provide(PrometheusClient.layer.pipe(Layer.provideMerge(config), Layer.merge(states))),
  Effect.ensuring(Effect.sync(() => database.close())),
  Effect.runPromise
)
