/** The script of the report's page: draws charts as they scroll into view, and filters streams by name. */
import uPlot from "uplot"
import { type LineData, MAX_LINES, type PageData } from "../pageData.ts"
import "uplot/dist/uPlot.min.css"
import "./page.css"

const data = JSON.parse(document.getElementById("data")!.textContent!) as PageData

/** Columns in uPlot's format: seconds, then the values of each line at these times. */
const columnsOf = (lines: ReadonlyArray<LineData>): uPlot.AlignedData =>
  uPlot.join(
    lines.map(({ t, v }): uPlot.AlignedData => {
      let millis = 0
      return [
        t.map((since) => {
          millis += since
          return millis / 1000
        }),
        [...v]
      ]
    })
  )

const valueFormat = new Intl.NumberFormat("en", { maximumSignificantDigits: 7 })

const valueText = (value: number | null | undefined): string => {
  if (value === null || value === undefined) return "–"
  const size = Math.abs(value)
  return size !== 0 && (size < 1e-4 || size >= 1e15) ? value.toExponential(3) : valueFormat.format(value)
}

const axisFormat = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 })

/** Short enough for the space beside a chart, whatever the size of the values. */
const axisText = (value: number): string => {
  const size = Math.abs(value)
  return size !== 0 && (size < 1e-3 || size >= 1e15) ? value.toExponential(1) : axisFormat.format(value)
}

const timeText = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().replace("T", " ").slice(0, 19)

const SECOND = 1
const MINUTE = 60
const DAY = 86_400

/** Times as in the tables. The date is below the time where it changes, and below the first time. */
const timeAxis = (
  [
    [365 * DAY, "{YYYY}", null],
    [28 * DAY, "{YYYY}-{MM}", null],
    [DAY, "{YYYY}-{MM}-{DD}", null],
    [MINUTE, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}"],
    [SECOND, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}"],
    [SECOND / 1000, "{HH}:{mm}:{ss}.{fff}", "\n{YYYY}-{MM}-{DD}"]
  ] as const
).map(([increment, format, date]) => [increment, format, date, null, date, null, null, null, 1])

const heightFor = (width: number): number => Math.round(Math.min(280, Math.max(180, width * 0.4)))

/** Draws a chart into its element, in the current colours. */
const draw = (element: HTMLElement): uPlot => {
  const colours = getComputedStyle(document.documentElement)
  const colour = (name: string): string => colours.getPropertyValue(name).trim()
  const lines = data[Number(element.dataset.chart)]!
  const figure = element.closest("figure")!
  const cells = figure.querySelectorAll<HTMLElement>("td.at")
  const atTime = figure.querySelector<HTMLElement>(".at-time")!
  const idle = atTime.dataset.idle ?? atTime.textContent!
  atTime.dataset.idle = idle
  const axis: uPlot.Axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--grid"), width: 1 },
    ticks: { stroke: colour("--grid"), width: 1 },
    font: "12px system-ui, sans-serif"
  }
  const width = element.clientWidth
  const single = lines.every(({ v }) => v.length < 2)
  return new uPlot(
    {
      width,
      height: heightFor(width),
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { drag: { x: true, y: false }, y: false, dataIdx: nearest },
      scales: {
        y: {
          // Centre a constant line, with space on both sides.
          range: (_chart, least, greatest) =>
            least === null || greatest === null
              ? [0, 1]
              : least === greatest
                ? [least - (Math.abs(least) || 1), greatest + (Math.abs(greatest) || 1)]
                : uPlot.rangeNum(least, greatest, 0.1, true)
        }
      },
      axes: [
        { ...axis, space: 90, values: timeAxis },
        { ...axis, size: 64, values: (_chart, values) => values.map(axisText) }
      ],
      series: [
        {},
        ...lines.map((_, line) => ({
          stroke: colour(`--line-${line % MAX_LINES}`),
          width: 1.5,
          points: single ? { show: true, size: 6 } : {}
        }))
      ],
      hooks: {
        setCursor: [
          (chart) => {
            const { idx, idxs } = chart.cursor
            const time = idx === null || idx === undefined ? undefined : chart.data[0][idx]
            atTime.textContent = time === undefined ? idle : timeText(time)
            for (const [line, cell] of cells.entries()) {
              const at = idxs?.[line + 1]
              cell.textContent =
                time === undefined
                  ? ""
                  : valueText(typeof at === "number" ? chart.data[line + 1]?.[at] : null)
            }
          }
        ]
      }
    },
    columnsOf(lines),
    element
  )
}

/**
 * The point of a line that is nearest to the pointer. Each line is thinned out separately, so most lines have no point at
 * exactly the time of another line's point.
 */
const nearest = (chart: uPlot, series: number, hovered: number): number => {
  const values = chart.data[series]!
  const times = chart.data[0]
  let before = hovered
  let after = hovered
  while (before > 0 && values[before] === undefined) before--
  while (after < values.length - 1 && values[after] === undefined) after++
  const distance = (index: number): number =>
    values[index] === undefined ? Infinity : Math.abs(times[index]! - times[hovered]!)
  return distance(after) < distance(before) ? after : before
}

const charts = new Map<HTMLElement, uPlot>()

const redraw = (element: HTMLElement): void => {
  charts.get(element)?.destroy()
  charts.set(element, draw(element))
}

/** Draws a chart shortly before it scrolls into view. */
const views = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || !(target instanceof HTMLElement) || charts.has(target)) continue
      redraw(target)
      sizes.observe(target)
      views.unobserve(target)
    }
  },
  { rootMargin: "300px" }
)

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const chart = target instanceof HTMLElement ? charts.get(target) : undefined
    const width = target.clientWidth
    // A collapsed chart has no size.
    if (chart !== undefined && width > 0 && width !== chart.width)
      chart.setSize({ width, height: heightFor(width) })
  }
})

for (const element of document.querySelectorAll<HTMLElement>("[data-chart]")) views.observe(element)

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const element of charts.keys()) redraw(element)
})

/** A link to a stream expands it. */
const unfold = (): void => {
  const target = document.getElementById(location.hash.slice(1))
  if (!(target instanceof HTMLDetailsElement)) return
  target.open = true
  target.scrollIntoView()
}
addEventListener("hashchange", unfold)
unfold()

// On paper nothing can be expanded or scrolled.
addEventListener("beforeprint", () => {
  for (const stream of document.querySelectorAll("details")) stream.open = true
  for (const element of document.querySelectorAll<HTMLElement>("[data-chart]")) {
    if (!charts.has(element) && element.clientWidth > 0) redraw(element)
  }
})

const filter = document.querySelector<HTMLElement>(".filter")!
const input = filter.querySelector("input")!
const output = filter.querySelector("output")!
const rows = Array.from(document.querySelectorAll<HTMLElement>("tr[data-stream]"))
const sections = Array.from(document.querySelectorAll<HTMLElement>("details[data-stream]"))
const names = rows.map((row) => row.querySelector("th")!.textContent!.toLowerCase())

filter.hidden = rows.length < 8
input.addEventListener("input", () => {
  const wanted = input.value.trim().toLowerCase()
  let found = 0
  for (const [index, name] of names.entries()) {
    const isWanted = name.includes(wanted)
    if (isWanted) found++
    rows[index]!.hidden = !isWanted
    sections[index]!.hidden = !isWanted
  }
  output.textContent = wanted === "" ? "" : `${found} of ${names.length}`
})
