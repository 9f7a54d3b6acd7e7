/** The summary of a run for programs: a JSON document with stable keys. */
import { Schema } from "effect"
import { syncModes } from "../destinations/Destination.ts"
import { Count } from "../destinations/manifest.ts"
import type { RunSummary, StreamSummary } from "../run/Progress.ts"
import { formatTime } from "../text/formatTime.ts"
import { printableJson } from "../text/printable.ts"

const described = <S extends Schema.Top>(schema: S, description: string): S["Rebuild"] =>
  schema.annotate({ description })

const Seconds = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/** One stream in the document. */
const StreamDocument = Schema.Struct({
  name: described(Schema.String, "The name of the stream: that of its metric, or of its query."),
  succeeded: described(Schema.Boolean, "Whether it was read completely."),
  error: described(
    Schema.NullOr(Schema.String),
    "Why it failed: what happened, where, and what to do; null if it succeeded."
  ),
  notice: described(
    Schema.NullOr(Schema.String),
    "Why it has no rows, if that is more than that there is nothing new; otherwise null."
  ),
  series: described(Count, "How many series had rows in this run."),
  rows: described(Count, "The rows that this run committed."),
  first_time: described(
    Schema.NullOr(Schema.String),
    "The time of the first of them, UTC; null without rows."
  ),
  last_time: described(Schema.NullOr(Schema.String), "The time of the last of them, UTC; null without rows."),
  seconds: described(Seconds, "How long it took."),
  retries: described(Count, "How many requests were retried.")
})

const CostDocument = Schema.Struct({
  requests: described(Count, "The requests to the server, including retries."),
  received_bytes: described(Count, "The bytes of their responses, as they were received."),
  samples: described(Count, "The samples in these responses."),
  server_cpu_seconds: described(
    Schema.NullOr(Seconds),
    "The CPU time that the server process used during the run, including for other clients; null if the server does not report it."
  )
})

/** The document. Keys may be added. The meaning of an existing key changes only with another `version`. */
export const SummaryDocument = Schema.Struct({
  version: described(Schema.Literal(1), "The version of this document."),
  succeeded: described(Schema.Boolean, "Whether all streams were read completely."),
  source: described(Schema.String, "Where the data came from: an address without secrets."),
  destination: described(Schema.String, "Where it went, as the command line named it."),
  mode: described(Schema.Literals(syncModes), "The sync mode."),
  step_seconds: described(
    Schema.NullOr(Seconds),
    "The time between two data points of a series; null if all stored samples were read."
  ),
  started_at: described(Schema.String, "When the run began, UTC."),
  seconds: described(Seconds, "How long it took."),
  rows: described(Count, "The rows that this run committed, of all streams."),
  bytes: described(Count, "The size of the destination at the end."),
  cost: described(CostDocument, "What the run cost the server."),
  look_into: described(Schema.String, "A command that shows data of the destination."),
  streams: described(Schema.Array(StreamDocument), "The result of each stream.")
})

export type SummaryDocument = typeof SummaryDocument.Type

const streamDocument = ({
  curves,
  error,
  notice,
  span,
  ...figures
}: StreamSummary): typeof StreamDocument.Type => ({
  ...figures,
  succeeded: error === undefined,
  error: error ?? null,
  notice: notice ?? null,
  first_time: span === undefined ? null : formatTime(span[0]),
  last_time: span === undefined ? null : formatTime(span[1])
})

export const summaryDocument = (run: RunSummary): SummaryDocument => ({
  version: 1,
  succeeded: run.streams.every(({ error }) => error === undefined),
  source: run.source,
  destination: run.destination,
  mode: run.mode,
  step_seconds: run.stepSeconds ?? null,
  started_at: formatTime(run.startedAt),
  seconds: run.seconds,
  rows: run.rows,
  bytes: run.bytes,
  cost: {
    requests: run.cost.requests,
    received_bytes: run.cost.bytes,
    samples: run.cost.samples,
    server_cpu_seconds: run.cost.serverCpuSeconds ?? null
  },
  look_into: run.previewCommand,
  streams: run.streams.map(streamDocument)
})

const encode = Schema.encodeSync(SummaryDocument)

/** The document as indented text, without a line break at the end. */
export const summaryJson = (run: RunSummary): string => printableJson(encode(summaryDocument(run)))
