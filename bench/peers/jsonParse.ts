/**
 * For comparison: the obvious exporter, with `JSON.parse` in and `JSON.stringify` out, one response after another. Its
 * records are those of the connector, except that values pass through a JavaScript number. It has neither retries nor
 * state, and keeps each response in memory as a string and as objects.
 *
 * `node jsonParse.ts BASE_URL START END STEP METRIC…`, times in seconds since 1970.
 */
import { createHash } from "node:crypto"
import { writeSync } from "node:fs"

interface ResponseBody {
  readonly data: {
    readonly result: ReadonlyArray<{
      readonly metric: Readonly<Record<string, string>>
      readonly values: ReadonlyArray<readonly [time: number, value: string]>
    }>
  }
}

const STDOUT = 1

const seriesId = (labels: Readonly<Record<string, string>>): string => {
  const hash = createHash("sha256")
  for (const name of Object.keys(labels).sort()) {
    hash.update(name).update("\xff", "latin1").update(labels[name]!).update("\xff", "latin1")
  }
  return hash.digest("hex").slice(0, 32)
}

/** A write to a pipe may accept only a part. */
const writeAll = (text: string): void => {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) at += writeSync(STDOUT, bytes, at)
}

const [baseUrl, start, end, step, ...metrics] = process.argv.slice(2)

for (const stream of metrics) {
  const query = new URLSearchParams({ query: stream, start: start!, end: end!, step: step! })
  const response = await fetch(`${baseUrl}/api/v1/query_range?${query}`, {
    // The same as curl and the connector. By default, fetch requests compression.
    headers: { "Accept-Encoding": "identity" }
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`The server responded with HTTP ${response.status}: ${text}`)
  const body = JSON.parse(text) as ResponseBody
  for (const { metric, values } of body.data.result) {
    const { __name__: _, ...labels } = metric
    const series_id = seriesId(metric)
    const lines: Array<string> = []
    for (const [time, value] of values) {
      const data = {
        time: new Date(time * 1000).toISOString().replace(".000Z", "Z"),
        value: Number(value),
        series_id,
        ...labels
      }
      lines.push(JSON.stringify({ type: "RECORD", record: { stream, data, emitted_at: Date.now() } }))
    }
    writeAll(`${lines.join("\n")}\n`)
  }
}
