/** The estimate of a run, for `--dry-run`. */
import { Schema } from "effect"
import { Count } from "../destinations/manifest.ts"
import {
  type DryRun,
  type DryRunPart,
  type DryRunStream,
  type ReadEstimate,
  sumOfEstimates
} from "../run/estimate.ts"
import { isRawRange, pointCount } from "../sync/TimeGrid.ts"
import type { Paint } from "../terminal/Appearance.ts"
import { fittingLines } from "../terminal/table.ts"
import { truncate } from "../terminal/textWidth.ts"
import { byteText, grouped, stepText, timeText } from "../text/figures.ts"
import { formatTime } from "../text/formatTime.ts"
import { largest } from "../text/largest.ts"
import { pluralize } from "../text/pluralize.ts"
import { printable, printableJson, printableName } from "../text/printable.ts"

/** Further streams are summed up in one line. */
const MAX_ROWS = 100

/** On a narrow terminal, names are truncated down to this width. */
const MIN_NAME = 8

const header = ["STREAM", "SERIES", "POINTS", "WINDOWS", "SAMPLES", "BYTES"]

const rowOf = ({
  bytes,
  isRaw,
  isTable,
  name,
  points,
  samples,
  series,
  windows
}: DryRunStream): ReadonlyArray<string> => [
  printableName(name),
  ...(isTable
    ? ["", "", grouped(windows), "", ""]
    : [
        grouped(series),
        isRaw === true ? "" : grouped(points),
        grouped(windows),
        estimate(grouped(samples), samples),
        estimate(byteText(bytes), bytes)
      ])
]

/** Zero is exact. */
const estimate = (text: string, value: number): string => (value === 0 ? text : `~${text}`)

/** A table of the largest streams, largest first, and the totals of all streams, for a terminal of `columns`. */
export const dryRunText = (
  { destination, parts, remoteRead, source, span, stepSeconds, streams }: DryRun,
  { columns, paint }: { readonly columns: number; readonly paint: Paint }
): string => {
  const width = Math.max(1, columns - 1)
  const bySize = streams.toSorted((a, b) => b.samples - a.samples || (a.name < b.name ? -1 : 1))
  const shown = bySize.length <= MAX_ROWS ? bySize : bySize.slice(0, MAX_ROWS - 1)
  const left = bySize.slice(shown.length)
  const all = sumOfEstimates(streams)
  const lines: Array<string> = []
  if (shown.length > 0) {
    const cut = { column: "STREAM", least: MIN_NAME }
    const table = () => ({ header, rows: shown.map(rowOf), numbers: header.slice(1), cut })
    const [first, ...rest] = fittingLines([table], width)
    lines.push(paint("quiet", first!), ...rest)
  }
  if (left.length > 0) {
    const more = `… and ${grouped(left.length)} more with ~${pluralize(sumOfEstimates(left).samples, "sample")}`
    lines.push(paint("quiet", truncate(more, width)))
  }
  if (lines.length > 0) lines.push("")
  const period =
    span === undefined
      ? ""
      : ` from ${timeText(span[0])} to ${timeText(span[1])} UTC, ${stepSeconds === undefined ? "all stored samples" : `every ${stepText(stepSeconds)}`}`
  lines.push(
    all.samples === 0
      ? `A run would read nothing new from ${pluralize(streams.length, "stream")} at ${printable(source)}${period}.`
      : `A run would read about ${pluralize(all.samples, "sample")} of ${pluralize(all.series, "series", "series")} in ${pluralize(streams.length, "stream")} at ${printable(source)}${period}: at least ${pluralize(all.windows, "query", "queries")}, about ${byteText(all.bytes)} of responses, into ${printable(destination)}.`,
    ...(remoteRead === undefined || all.samples === 0
      ? []
      : [
          `With remote read, which the run would ${remoteRead.isLikely ? "probably" : "not"} use, the server would send about ${pluralize(remoteRead.samples, "stored sample")} in ${byteText(remoteRead.bytes)}.`
        ]),
    ...(parts === undefined || parts.length === 0 ? [] : [partsText(parts)]),
    "Nothing was read or written."
  )
  return lines.join("\n")
}

const partsText = (parts: ReadonlyArray<DryRunPart>): string => {
  const all = `These are ${pluralize(parts.length, "part")} that several processes can read at the same time`
  const owners = new Map<number, number>()
  for (const { owner } of parts) {
    if (owner !== undefined) owners.set(owner, (owners.get(owner) ?? 0) + 1)
  }
  const most = largest([...owners.values()])
  return owners.size === 0
    ? `${all}, each with --part I/N.`
    : `${all}: at most ${pluralize(most, "part")} per process.`
}

const counts = { series: Count, windows: Count, estimated_samples: Count, estimated_bytes: Count }

const described = <S extends Schema.Top>(schema: S, description: string): S["Rebuild"] =>
  schema.annotate({ description })

const PartDocument = Schema.Struct({
  stream: described(Schema.String, "The name of the stream."),
  first_time: described(Schema.String, "The first point of the part, UTC."),
  last_time: described(Schema.String, "The last point of the part, UTC."),
  reason: described(
    Schema.Literals(["start", "resume", "gap"]),
    "Why it is read. `start`: the stream has no rows yet. `resume`: it follows the existing rows, minus the look-back. `gap`: it is missing or incomplete between or before them."
  ),
  points: described(Schema.NullOr(Count), "The number of its points; null for stored samples."),
  estimated_samples: described(Count, "The estimated number of its samples."),
  owner: Schema.optionalKey(
    described(Count, "The process that reads it, from 0 on, if the number of processes is given.")
  )
})

/** The same as JSON. Its keys are stable. */
export const DryRunDocument = Schema.Struct({
  version: Schema.Literal(1),
  source: Schema.String,
  destination: Schema.String,
  step_seconds: described(
    Schema.NullOr(Schema.Finite),
    "The time between two data points; null for all stored samples."
  ),
  first_time: Schema.NullOr(Schema.String),
  last_time: Schema.NullOr(Schema.String),
  totals: Schema.Struct(counts),
  streams: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      points: described(Schema.NullOr(Count), "The number of its points; null for stored samples."),
      ...counts
    })
  ),
  remote_read: Schema.optionalKey(
    described(
      Schema.Struct({ estimated_samples: Count, estimated_bytes: Count, is_likely: Schema.Boolean }),
      "The stored samples from which the points can be computed, if the server offers them by remote read and `api` is not query_range; and whether a run would probably take that."
    )
  ),
  parts: Schema.optionalKey(
    described(
      Schema.Array(PartDocument),
      "The parts that several processes can read, if the destination supports that."
    )
  )
})

const countsOf = ({ bytes, samples, series, windows }: ReadEstimate) => ({
  series,
  windows,
  estimated_samples: Math.round(samples),
  estimated_bytes: Math.round(bytes)
})

const encode = Schema.encodeSync(DryRunDocument)

/** The document as indented text, with the streams in the order of the run and no line break at the end. */
export const dryRunJson = ({
  destination,
  parts,
  remoteRead,
  source,
  span,
  stepSeconds,
  streams
}: DryRun): string =>
  printableJson(
    encode({
      version: 1,
      source,
      destination,
      step_seconds: stepSeconds ?? null,
      first_time: span === undefined ? null : formatTime(span[0]),
      last_time: span === undefined ? null : formatTime(span[1]),
      totals: countsOf(sumOfEstimates(streams)),
      streams: streams.map((stream) => ({
        name: stream.name,
        points: stream.isRaw === true ? null : stream.points,
        ...countsOf(stream)
      })),
      ...(remoteRead === undefined
        ? {}
        : {
            remote_read: {
              estimated_samples: remoteRead.samples,
              estimated_bytes: remoteRead.bytes,
              is_likely: remoteRead.isLikely
            }
          }),
      ...(parts === undefined
        ? {}
        : {
            parts: parts.map(({ part, samples, ...owner }) => ({
              stream: part.stream,
              first_time: formatTime(part.range.firstMillis),
              last_time: formatTime(part.range.lastMillis),
              reason: part.reason,
              points: isRawRange(part.range) ? null : pointCount(part.range),
              estimated_samples: samples,
              ...owner
            }))
          })
    })
  )
