/** The tables at the end. */
import { type Datasets, sampleCount } from "./datasets.ts"
import { targets, verdict } from "./targets.ts"
import { type MeasurementName, measurementNames, type Results } from "./workloads.ts"

/** Both tables, and a line about the data. */
export const report = (results: Results, datasets: Datasets): string => {
  const { bytesPerRecord, downloadedMegabytes } = results
  const { day } = datasets
  return [
    `${integer(sampleCount(day))} samples: ${day.metrics} metrics, ${integer(day.series)} series, ${integer(day.points)} points; ` +
      `${fixed(downloadedMegabytes)} MB of responses, records of ${Math.round(bytesPerRecord)} bytes`,
    table(measurementRows(results, datasets)),
    table(targetRows(results))
  ].join("\n\n")
}

type Rows = ReadonlyArray<ReadonlyArray<string>>

const measurementRows = (results: Results, datasets: Datasets): Rows => {
  const labels = labelsFor(datasets)
  return [
    ["measured", "time s", "÷ curl", "CPU s", "server CPU s", "peak RSS MB", "records/s"],
    ...measurementNames.map((name) => {
      const summary = results.measurements[name]
      const onDay = comparedWithCurl.has(name)
      return [
        labels[name],
        fixed(summary.seconds),
        onDay ? fixed(summary.seconds / results.measurements.curl.seconds) : "",
        fixed(summary.cpuSeconds),
        fixed(summary.serverCpuSeconds),
        summary.peakRssMegabytes === undefined ? "" : integer(summary.peakRssMegabytes),
        summary.recordsPerSecond === undefined ? "" : integer(summary.recordsPerSecond)
      ]
    })
  ]
}

/** The workloads that read the same samples as curl. */
const comparedWithCurl: ReadonlySet<MeasurementName> = new Set<MeasurementName>([
  "curl",
  "read",
  "readThroughPipe",
  "jsonParse",
  "readGzip",
  "runDuckDB",
  "runParquet",
  "runParquetS3",
  "runJsonLines"
])

const labelsFor = ({ catalog, wide, year }: Datasets): Record<MeasurementName, string> => ({
  curl: "curl to /dev/null",
  read: "read to /dev/null",
  readThroughPipe: "read through a pipe",
  jsonParse: "JSON.parse exporter to /dev/null",
  readGzip: "read with compression",
  readTenth: "read of a tenth of the time",
  readTenfold: "read of ten times the points",
  runDuckDB: "run into DuckDB",
  runDuckDBTenfold: "run of ten times the points into DuckDB",
  runParquet: "run into Parquet",
  runParquetS3: "run into Parquet in S3",
  runJsonLines: "run into JSON lines",
  readWide: `read of one metric of ${integer(wide.series)} series`,
  readYear: `read of ${integer(year.points)} points of ${year.series} series`,
  discover: `discover of ${integer(catalog.metrics)} metrics`,
  spec: "spec",
  nodeAlone: "node -e 0"
})

const targetRows = (results: Results): Rows => [
  ["target", "measured", "limit", "aim", "verdict"],
  ...targets(results).map((target) => {
    const { aim, limit, measured, unit, what } = target
    const withUnit = (value: string): string => (value === "" ? "" : `${value} ${unit}`.trimEnd())
    return [
      what,
      withUnit(unit === "MB" || unit === "" ? integer(measured) : fixed(measured)),
      withUnit(limit === undefined ? "" : `${limit}`),
      withUnit(aim === undefined ? "" : `${aim}`),
      verdict(target)
    ]
  })
]

const fixed = (value: number | undefined): string => (value === undefined ? "" : value.toFixed(2))

const integer = (value: number): string => Math.round(value).toLocaleString("en-US")

/** A Markdown table with the first column aligned left and the others right. */
const table = (rows: Rows): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`
  const render = (row: ReadonlyArray<string>): string =>
    line(
      row.map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
      )
    )
  const rule = line(
    widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`))
  )
  const [header, ...body] = rows
  return [render(header!), rule, ...body.map(render)].join("\n")
}
