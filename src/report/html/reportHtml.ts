/**
 * The report of a run as one self-contained page: the summary as tables, which need no script, and charts, which a script draws
 * when they scroll into view.
 */
import { createHash } from "node:crypto"
import type { Curve, RunSummary, StreamSummary } from "../../run/Progress.ts"
import { byteText, durationText, grouped, rounded, stepText, timeText } from "../../text/figures.ts"
import { formatTime } from "../../text/formatTime.ts"
import { pluralize } from "../../text/pluralize.ts"
import { printableName } from "../../text/printable.ts"
import { failedOf, selectStreams } from "../selectStreams.ts"
import { escaped, nameText, scriptJson, sentenceText } from "./html.ts"
import { script, style } from "./page/assets.ts"
import { type LineData, MAX_LINES, type PageData } from "./pageData.ts"

/** With more streams than this, charts are collapsed at first: a page of hundreds of charts is for searching. */
const MAX_EXPANDED = 24

/** The most streams of a page, failed ones first. No browser could open a page of hundreds of thousands. */
const MAX_STREAMS = 5000

/** The most errors listed. */
const MAX_FAILURES = 500

/** Allows only the content of the page: it cannot send any request. */
const policy = (): string =>
  [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    "base-uri 'none'",
    "form-action 'none'"
  ].join("; ")

const hashOf = (text: string): string => `sha256-${createHash("sha256").update(text).digest("base64")}`

/** The page as a string. */
export const reportHtml = (run: RunSummary): string => {
  const charts: Array<ReadonlyArray<LineData>> = []
  const isExpanded = run.streams.length <= MAX_EXPANDED
  const { left, shown } = selectStreams(run.streams, MAX_STREAMS, MAX_STREAMS)
  const sections = shown.map((stream, index) => streamSection(stream, index, charts, isExpanded))
  const failed = failedOf(run.streams)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escaped(policy())}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${sentenceText(`${run.source} on ${formatTime(run.startedAt).slice(0, 10)}`)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>Metrics of <span class="source">${nameText(run.source)}</span></h1>
<p>${sentenceText(sentence(run))} All times are in UTC.</p>
${facts(run, failed.length)}
</header>
<main>
${failed.length === 0 ? "" : failures(failed, run.streams.length)}
<section aria-labelledby="look">
<h2 id="look">Query it</h2>
<pre tabindex="0" aria-label="Command"><code>${escaped(run.previewCommand)}</code></pre>
</section>
<section aria-labelledby="streams">
<h2 id="streams">Streams</h2>
<div class="filter" hidden><label for="filter">Show streams whose name has</label> <input id="filter" type="search" autocomplete="off" spellcheck="false"> <output for="filter"></output></div>
${overview(shown)}
${left.length === 0 ? "" : `<p>${escaped(leftText(left))}</p>`}
</section>
<section aria-labelledby="values">
<h2 id="values">Values</h2>
<noscript><p>Charts need JavaScript; the tables below have the least and the greatest values.</p></noscript>
${sections.join("\n")}
</section>
</main>
<script type="application/json" id="data">${scriptJson(charts satisfies PageData)}</script>
<script>${script}</script>
</body>
</html>
`
}

const leftText = (left: ReadonlyArray<StreamSummary>): string => {
  const rows = left.reduce((total, stream) => total + stream.rows, 0)
  return `${grouped(left.length)} more streams with ${pluralize(rows, "row")} are not shown: a page has ${grouped(MAX_STREAMS)} at most. Read them in reports of their own (--select).`
}

const modes: Readonly<Record<RunSummary["mode"], string>> = {
  full_refresh_overwrite: "full refresh, overwrite",
  full_refresh_append: "full refresh, append",
  incremental_append: "incremental, append",
  incremental_append_deduped: "incremental, append and deduplicate"
}

const sentence = ({ destination, mode, startedAt, stepSeconds }: RunSummary): string =>
  `Read into ${destination} on ${timeText(startedAt)}, ${stepSeconds === undefined ? "all stored samples" : `a data point every ${stepText(stepSeconds)}`} (${modes[mode]}).`

const facts = ({ bytes, cost, rows, seconds, streams }: RunSummary, failed: number): string => {
  const series = streams.reduce((total, stream) => total + stream.series, 0)
  const retries = streams.reduce((total, stream) => total + stream.retries, 0)
  const entries: ReadonlyArray<readonly [string, string]> = [
    ["New rows", grouped(rows)],
    ["Series", grouped(series)],
    [
      "Streams",
      failed === 0 ? grouped(streams.length) : `${grouped(streams.length)}, ${grouped(failed)} failed`
    ],
    ["Duration", durationText(seconds)],
    ["Rows per second", seconds > 0 ? rounded(rows / seconds) : "–"],
    ["Size now", byteText(bytes)],
    ["Requests", grouped(cost.requests)],
    ["Received", byteText(cost.bytes)],
    ...(cost.serverCpuSeconds === undefined
      ? []
      : [["Server CPU time during the run", durationText(cost.serverCpuSeconds)] as const]),
    ...(retries === 0 ? [] : [["Retries", `${grouped(retries)} ×`] as const])
  ]
  return `<dl class="facts">${entries
    .map(([term, value]) => `<div><dt>${escaped(term)}</dt><dd>${escaped(value)}</dd></div>`)
    .join("")}</dl>`
}

const failures = (failed: ReadonlyArray<StreamSummary>, streams: number): string =>
  `<section class="failures" aria-labelledby="failures">
<h2 id="failures">${escaped(`${grouped(failed.length)} of ${pluralize(streams, "stream")} failed`)}</h2>
<p>Run again to resume where ${failed.length === 1 ? "it" : "each"} stopped.</p>
<ul>
${failed
  .slice(0, MAX_FAILURES)
  .map(({ error, name }) => `<li><strong>${nameText(name)}</strong>: ${sentenceText(error!)}</li>`)
  .join("\n")}
</ul>${failed.length <= MAX_FAILURES ? "" : `\n<p>${grouped(failed.length - MAX_FAILURES)} more failed.</p>`}
</section>`

const timeElement = (millis: number): string =>
  `<time datetime="${formatTime(millis)}">${timeText(millis)}</time>`

const overview = (streams: ReadonlyArray<StreamSummary>): string => {
  const headers = ["Stream", "Series", "Rows", "First", "Last", "Duration", "Result"]
  const rows = streams.map((stream, index) => {
    const [first, last] = stream.span === undefined ? ["–", "–"] : stream.span.map(timeElement)
    const result =
      stream.error !== undefined
        ? "✗ failed"
        : stream.notice !== undefined
          ? "! no rows"
          : stream.rows === 0
            ? "nothing new"
            : "✓ read"
    return `<tr data-stream="${index}"${stream.error === undefined ? "" : ' class="failed"'}><th scope="row"><a href="#s${index}">${nameText(stream.name)}</a></th><td class="n">${grouped(stream.series)}</td><td class="n">${grouped(stream.rows)}</td><td>${first}</td><td>${last}</td><td class="n">${escaped(durationText(stream.seconds))}</td><td>${result}</td></tr>`
  })
  return `<div class="wide" role="region" aria-label="Streams of this run" tabindex="0"><table>
<thead><tr>${headers.map((header, column) => `<th scope="col"${[1, 2, 5].includes(column) ? ' class="n"' : ""}>${header}</th>`).join("")}</tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table></div>`
}

/** A stream with its chart, whose lines are added to `charts`. */
const streamSection = (
  stream: StreamSummary,
  index: number,
  charts: Array<ReadonlyArray<LineData>>,
  isExpanded: boolean
): string => {
  const curves = stream.curves.slice(0, MAX_LINES)
  const about = escaped(aboutText(stream, curves.length))
  const error = stream.error === undefined ? "" : `<p class="error">Failed: ${sentenceText(stream.error)}</p>`
  const notice = stream.notice === undefined ? "" : `<p>${sentenceText(stream.notice)}</p>`
  const chart = curves.length === 0 ? "" : chartFigure(stream, curves, charts)
  return `<details class="stream" id="s${index}" data-stream="${index}"${isExpanded ? " open" : ""}>
<summary><h3>${nameText(stream.name)}</h3> <span class="about">${about}</span></summary>
${error}${notice}${chart}
</details>`
}

const aboutText = ({ notice, rows, series }: StreamSummary, shown: number): string => {
  if (rows === 0) return notice === undefined ? "nothing new" : "no rows"
  const all = `${pluralize(rows, "row")} of ${pluralize(series, "series", "series")}`
  return shown > 0 && shown < series ? `${all}, ${shown === 1 ? "one" : shown} shown` : all
}

const chartFigure = (
  stream: StreamSummary,
  curves: ReadonlyArray<Curve>,
  charts: Array<ReadonlyArray<LineData>>
): string => {
  const chart = charts.length
  charts.push(curves.map(lineData))
  const ranges = curves.map(rangeOf)
  const least = Math.min(...ranges.map(([low]) => low))
  const greatest = Math.max(...ranges.map(([, high]) => high))
  const period =
    stream.span === undefined ? "" : ` from ${timeText(stream.span[0])} to ${timeText(stream.span[1])}`
  const values =
    least === Infinity ? "without a finite value" : `between ${valueText(least)} and ${valueText(greatest)}`
  const text = `Line chart of ${printableName(stream.name)}${period}: ${pluralize(curves.length, "series", "series")}, ${values}. The table below has the range of each.`
  const rows = curves.map(({ label }, line) => {
    const [low, high] = ranges[line]!
    const cells = low === Infinity ? ["–", "–"] : [valueText(low), valueText(high)]
    return `<tr><th scope="row"><span class="swatch line-${line}" aria-hidden="true"></span><code>${escaped(label)}</code></th><td class="n">${cells[0]}</td><td class="n">${cells[1]}</td><td class="n at" data-line="${line}"></td></tr>`
  })
  return `<figure>
<div class="chart" role="img" aria-label="${escaped(text)}" data-chart="${chart}"></div>
<figcaption><table class="legend">
<thead><tr><th scope="col">Series</th><th scope="col" class="n">Least</th><th scope="col" class="n">Greatest</th><th scope="col" class="n at-time">At the pointer</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table></figcaption>
</figure>`
}

/** The minimum and maximum of the finite values. */
const rangeOf = ({ values }: Curve): readonly [least: number, greatest: number] => {
  const finite = values.filter(Number.isFinite)
  return [Math.min(...finite), Math.max(...finite)]
}

/** A value in a readable number of digits. */
const valueText = (value: number): string => {
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return value.toExponential(3)
  return String(Number(value.toPrecision(7)))
}

/** Seven digits are more than a chart can show. All digits would double the size of the page. */
const lineData = ({ times, values }: Curve): LineData => ({
  t: Array.from(times, (time, index) => (index === 0 ? time : time - times[index - 1]!)),
  v: Array.from(values, (value) => (Number.isFinite(value) ? Number(value.toPrecision(7)) : null))
})
