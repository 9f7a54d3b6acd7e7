/**
 * The built executable against a server that sends arbitrary bytes: a read does not crash, its memory stays bounded, and
 * it emits only what the server sent.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { fileURLToPath, pathToFileURL } from "node:url"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as connector from "../support/connector.ts"
import { iso, minute, start } from "../support/gauge.ts"
import * as rules from "./rules.ts"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))
const reportPeak = pathToFileURL(fileURLToPath(new URL("../support/reportPeak.mjs", import.meta.url))).href

/** The limits of the heap and of a process's peak memory; a normal read uses half of that. */
const HEAP_MEGABYTES = 128
const MAX_MEGABYTES = 300

interface Query {
  readonly metric: string
  /** In seconds. */
  readonly start: number
  readonly end: number
}

/** The pieces of a body, generated while they are sent, optionally with headers. */
type Body = Iterable<string | Uint8Array>
type Respond = (query: Query) => Body | { readonly headers: Record<string, string>; readonly body: Body }

/** A server on loopback that returns the time, and responds to range queries as instructed. */
const serve = Effect.fnUntraced(function* (minutes: number, respond: Respond, more: object = {}) {
  let queries = 0
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://127.0.0.1")
    response.setHeader("content-type", "application/json")
    if (!pathname.endsWith("/query_range")) {
      const time = start / 1000 + minutes * 60 + 3600
      response.end(`{"status":"success","data":{"resultType":"scalar","result":[${time},"${time}"]}}`)
      return
    }
    queries++
    const [, metric = ""] = /__name__="(\w+)"/.exec(searchParams.get("query") ?? "") ?? []
    const result = respond({
      metric,
      start: Number(searchParams.get("start")),
      end: Number(searchParams.get("end"))
    })
    const { body, headers } = "body" in result ? result : { body: result, headers: {} }
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    // A client that gave up does not receive the rest.
    pipeline(Readable.from(body, { objectMode: false }), response).catch(() => {})
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      })
  )
  const config = {
    base_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    start_date: iso(start),
    end_date: iso(start + (minutes - 1) * minute),
    step: 60,
    max_retries: 0,
    ...more
  }
  return { config, queries: () => queries }
})

const BEGINNING = '{"status":"success","data":{"resultType":"matrix","result":['
const END = "]}}"

function* resultOf(series: Iterable<string>): Generator<string> {
  yield BEGINNING
  let comma = ""
  let text = ""
  for (const one of series) {
    text += comma + one
    comma = ","
    if (text.length < 60_000) continue
    yield text
    text = ""
  }
  yield text + END
}

/** The samples of a query, one per minute, without the enclosing brackets. */
const samplesOf = ({ end, start }: Query, value: (seconds: number) => string): string =>
  Array.from(
    { length: (end - start) / 60 + 1 },
    (_, i) => `[${start + i * 60},"${value(start + i * 60)}"]`
  ).join(",")

const repeated = function* (head: string, piece: string, times: number, tail: string): Generator<string> {
  yield head
  for (let i = 0; i < times; i++) yield piece
  yield tail
}

/** A read with a small heap. Record lines go to `look` and are not kept. */
const readMeasured = Effect.fnUntraced(function* (config: object, look: (line: Buffer) => void) {
  const files = yield* connector.workspace
  const peakFile = files.path("peak")
  const args = connector.readArgs(files, config, connector.catalogOf("m"))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(
        process.execPath,
        [`--max-old-space-size=${HEAP_MEGABYTES}`, "--import", reportPeak, executable, ...args],
        { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, PEAK_FILE: peakFile } }
      )
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let stderr = ""
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk
  })
  const ended = once(child, "close") as Promise<[code: number | null, signal: NodeJS.Signals | null]>
  const errors: Array<string> = []
  yield* Effect.promise(async () => {
    let parts: Array<Buffer> = []
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      let from = 0
      for (let to = chunk.indexOf(10); to >= 0; to = chunk.indexOf(10, from)) {
        const line = Buffer.concat([...parts, chunk.subarray(from, to)])
        parts = []
        from = to + 1
        if (line.subarray(0, 20).includes('"RECORD"')) look(line)
        else if (line.includes('"type":"ERROR"')) errors.push(JSON.parse(line.toString()).trace.error.message)
      }
      parts.push(chunk.subarray(from))
    }
  })
  const [code, signal] = yield* Effect.promise(() => ended)
  return { code, signal, stderr, errors, peak: Number(readFileSync(peakFile, "utf8")) }
})

describe("memory stays bounded", { concurrent: true }, () => {
  it.live("if labels are long and samples are many", () =>
    Effect.gen(function* () {
      const MINUTES = 1500
      const label = "x".repeat(200_000)
      const { config } = yield* serve(MINUTES, (query) =>
        resultOf([
          `{"metric":{"__name__":"m","a":"${label}"},"values":[${samplesOf(query, (seconds) => `${seconds}.5`)}]}`
        ])
      )
      const seen = new Set<string>()
      const result = yield* readMeasured(config, (line) => {
        const tail = line.subarray(-100).toString()
        const [, time, value] = /"time":"([^"]+)","value":([^}]+)\}\}\}$/.exec(tail) ?? []
        assert.strictEqual(value, `${Date.parse(time!) / 1000}.5`)
        assert.isAbove(line.length, label.length)
        seen.add(time!)
      })
      assert.deepStrictEqual([result.code, result.stderr, result.errors], [0, "", []])
      assert.strictEqual(seen.size, MINUTES)
      assert.isBelow(result.peak, MAX_MEGABYTES)
    })
  )

  it.live("if very many series have one sample each", () =>
    Effect.gen(function* () {
      const SERIES = 100_000
      const { config } = yield* serve(1, ({ start }) =>
        resultOf(
          (function* () {
            for (let i = 0; i < SERIES; i++) {
              // All label names differ, too.
              yield `{"metric":{"__name__":"m","n${i}":"${i}"},"values":[[${start},"${i}"]]}`
            }
          })()
        )
      )
      const seen = new Uint8Array(SERIES)
      const result = yield* readMeasured(config, (line) => {
        const [, label, value] = /"n(\d+)":"\1","time":"[^"]+","value":(\d+)/.exec(line.toString()) ?? []
        assert.strictEqual(label, value)
        seen[Number(label)]!++
      })
      assert.deepStrictEqual([result.code, result.stderr, result.errors], [0, "", []])
      assert.isTrue(seen.every((times) => times === 1))
      assert.isBelow(result.peak, MAX_MEGABYTES)
    })
  )

  const chunk = "x".repeat(100_000)
  const samples = ',[1767225600,"1"]'.repeat(4000)
  const MORE = 10_000
  const refused: Readonly<Record<string, readonly [body: () => Body, message: RegExp]>> = {
    "a label has 1 GB": [
      () => repeated(`${BEGINNING}{"metric":{"__name__":"m","a":"`, chunk, MORE, `"}}${END}`),
      /the labels of a series have more than 4 MiB/
    ],
    "a series has endless labels": [
      () =>
        repeated(
          `${BEGINNING}{"metric":{"__name__":"m"`,
          `,"${"a".repeat(90)}":"1"`.repeat(1000),
          MORE,
          `}}${END}`
        ),
      /the labels of a series have more than 4 MiB/
    ],
    "a value has 1 GB": [
      () =>
        repeated(
          `${BEGINNING}{"metric":{"__name__":"m"},"values":[[1767225600,"`,
          "1".repeat(100_000),
          MORE,
          `"]]}${END}`
        ),
      /a single value is longer than 4 KiB/
    ],
    "an error has 1 GB": [
      () => repeated('{"status":"error","error":"', chunk, MORE, '"}'),
      /a single value is longer than 16384 KiB/
    ],
    "samples have no labels": [
      () => repeated(`${BEGINNING}{"values":[[1767225600,"1"]`, samples, MORE, `]}${END}`),
      /a series has no "metric" within 16 MiB/
    ]
  }
  for (const [what, [body, message]] of Object.entries(refused)) {
    it.live(`if ${what}`, () =>
      Effect.gen(function* () {
        const { config } = yield* serve(10, body)
        let records = 0
        const result = yield* readMeasured(config, () => records++)
        assert.deepStrictEqual([result.code, result.stderr, records], [1, "", 0])
        assert.lengthOf(result.errors, 2)
        for (const error of result.errors) assert.match(error, message)
        assert.isBelow(result.peak, MAX_MEGABYTES)
      })
    )
  }

  it.live("if 100 MB of spaces are compressed into a few bytes", () =>
    Effect.gen(function* () {
      const spaces = Buffer.alloc(100_000_000, " ")
      const end = Buffer.from(`{"metric":{"__name__":"m"},"values":[[${start / 1000},"7"]]}${END}`)
      const body = gzipSync(Buffer.concat([Buffer.from(BEGINNING), spaces, end]), { level: 1 })
      const { config } = yield* serve(1, () => ({ headers: { "content-encoding": "gzip" }, body: [body] }), {
        compression: "gzip"
      })
      let records = 0
      const result = yield* readMeasured(config, () => records++)
      assert.deepStrictEqual([result.code, result.stderr, records, result.errors], [0, "", 1, []])
      assert.isBelow(result.peak, MAX_MEGABYTES)
    })
  )
})

describe("a read of many streams", () => {
  const at = start / 1000
  const values = `[[${at},"1"],[${at + 60},"2"]]`
  const metric = '{"__name__":"NAME","n":"0"}'
  const complete = `${BEGINNING}{"metric":${metric},"values":${values}}${END}`
  const within = (series: string): string => `${BEGINNING}${series}${END}`
  const deep = "[".repeat(100_000)

  /** The server's response by stream name, and how many of the two records are emitted. */
  const responses: Readonly<Record<string, readonly [body: string | Uint8Array, records: 0 | 1 | 2]>> = {
    empty: ["", 0],
    spaces: [" \n\t ", 0],
    null_: ["null", 0],
    list: [`[${complete}]`, 0],
    text: [JSON.stringify(complete), 0],
    page: ["<html><title>Log in</title></html>", 0],
    bom: [`\ufeff${complete}`, 0],
    error: ['{"status":"error","errorType":"internal","error":"out of cheese"}', 0],
    error_alone: ['{"status":"error"}', 0],
    error_with_data: [complete.replace('"success"', '"error"'), 2],
    garbage: [`${complete}garbage`, 2],
    twice: [complete + complete, 2],
    cut: [complete.slice(0, -2), 2],
    vector: [complete.replace("matrix", "vector"), 2],
    no_result: ['{"status":"success","data":{}}', 0],
    result_object: [complete.replace('"result":[', '"result":{').replace("]}}", "}}}"), 0],
    deep: [deep, 0],
    deep_values: [within(`{"metric":${metric},"values":${deep}}`), 0],
    deep_objects: ['{"data":'.repeat(100_000), 0],
    bare_nan: [within(`{"metric":${metric},"values":[[${at},NaN]]}`), 0],
    null_value: [within(`{"metric":${metric},"values":[[${at},null]]}`), 0],
    surrogate: [within(`{"metric":{"__name__":"NAME","a":"\\ud800"},"values":${values}}`), 0],
    not_utf8: [
      Buffer.from(within(`{"metric":{"__name__":"NAME","a":"\xff"},"values":${values}}`), "latin1"),
      0
    ],
    labels_list: [within(`{"metric":[],"values":${values}}`), 0],
    label_number: [within(`{"metric":{"__name__":"NAME","a":1},"values":${values}}`), 0],
    no_labels: [within(`{"values":${values}}`), 0],
    labels_twice: [within(`{"metric":${metric},"values":${values},"metric":${metric}}`), 2],
    series_twice: [
      within(`{"metric":${metric},"values":${values}},{"metric":${metric},"values":${values}}`),
      2
    ],
    outside: [within(`{"metric":${metric},"values":[[${at + 120},"1"]]}`), 0],
    outside_later: [
      within(
        `{"metric":${metric},"values":[[${at},"1"]]},{"metric":{"__name__":"NAME"},"values":[[${at - 60},"1"]]}`
      ),
      1
    ],
    off_the_grid: [within(`{"metric":${metric},"values":[[${at}.5,"1"]]}`), 0],
    backwards: [within(`{"metric":${metric},"values":[[${at + 60},"2"],[${at},"1"]]}`), 0],
    endless_time: [within(`{"metric":${metric},"values":[[1e999,"1"]]}`), 0]
  }

  it.live("reports each metric with a malformed response, and reads the others", () =>
    Effect.gen(function* () {
      const good = ["good_first", "good_last"]
      const { config, queries } = yield* serve(2, ({ metric }) => {
        const body = responses[metric]?.[0] ?? complete
        return [typeof body === "string" ? body.replaceAll("NAME", metric) : body]
      })
      const files = yield* connector.workspace
      const names = ["good_first", ...Object.keys(responses), "good_last"]
      const catalog = connector.catalogOf(...names)
      const output = yield* connector.read(files, config, catalog)
      rules.checkLines(output)
      assert.deepStrictEqual([output.code, output.signal], [1, null])
      // A refused window of two points is requested once more as each of them.
      assert.isAtMost(queries(), good.length + 3 * Object.keys(responses).length)

      const ended = (status: string): ReadonlyArray<string> =>
        output.statuses.flatMap((text) => (text.endsWith(`:${status}`) ? [text.split(":")[0]!] : [])).sort()
      assert.deepStrictEqual(ended("COMPLETE"), good)
      assert.deepStrictEqual(ended("INCOMPLETE"), Object.keys(responses).sort())
      assert.deepStrictEqual(
        [...new Set(output.states.map(({ stream }) => stream.stream_descriptor.name))].sort(),
        good
      )

      for (const { message, stream_descriptor } of output.errors) {
        const subject = stream_descriptor?.name ?? "the entire read"
        assert.match(message, /^\S.{30,}\.$/s, subject)
        assert.notMatch(message, /TypeError|RangeError|undefined|\[object/, subject)
        assert.isBelow(message.length, 2000, subject)
      }
      const own = output.errors.flatMap(({ stream_descriptor }) => stream_descriptor?.name ?? [])
      assert.deepStrictEqual(own.sort(), Object.keys(responses).sort())

      // Only what was sent, and no row twice.
      const expected = new Map([
        [iso(start), "1"],
        [iso(start + minute), "2"]
      ])
      const rows = new Set<string>()
      for (const { data, stream, valueText } of output.records) {
        const key = `${stream} ${data.series_id} ${data.time}`
        assert.isFalse(rows.has(key), key)
        rows.add(key)
        assert.strictEqual(valueText, expected.get(String(data.time)), key)
      }
      for (const name of names) {
        const count = output.records.filter(({ stream }) => stream === name).length
        if (good.includes(name)) assert.strictEqual(count, 2, name)
        else assert.isAtMost(count, responses[name]![1], name)
      }
    })
  )
})
