/** The JSON-lines file: what a killed run leaves is mended, and what is not understood is left alone. */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Option } from "effect"
import { ConnectorConfig } from "../../src/ConnectorConfig.ts"
import * as Mock from "../../src/prometheus/mock/layer.ts"
import { type MockOptions, MockPrometheus } from "../../src/prometheus/mock/MockPrometheus.ts"
import { type MockSeries, makeDatabase } from "../../src/prometheus/mock/MockSeries.ts"
import { JsonLines } from "../../src/run/JsonLines.ts"
import { run } from "../../src/run/run.ts"
import { StateStore } from "../../src/sync/StateStore.ts"
import { StreamState } from "../../src/sync/StreamState.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "json-lines-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A file in a folder of its own. */
const place = Effect.map(folder, (path) => ({
  folder: path,
  data: join(path, "data.jsonl"),
  state: join(path, "data.jsonl.state.json")
}))

/** Opens the file for one run, which ends like a killed one: without a word. */
const use = <A, E>(path: string, body: Effect.Effect<A, E, JsonLines | StateStore>) =>
  body.pipe(
    Effect.provide(JsonLines.layer(path, "http://mock")),
    Effect.provide(NodeServices.layer),
    Effect.scoped
  )

const append = (text: string) => Effect.map(JsonLines, (file) => file.buffer.append(Buffer.from(text)))

const stateAt = (time: string) => new StreamState({ time, step: 60, version: 1 })

const commit = (stream: string, time: string) =>
  Effect.gen(function* () {
    const file = yield* JsonLines
    const store = yield* StateStore
    yield* store.save(stream, stateAt(time), 1)
    yield* file.commit
  })

const load = (stream: string) => Effect.flatMap(StateStore, (store) => store.load(stream))

const text = (path: string): string => readFileSync(path, "utf8")

const first = "2026-01-01T00:00:00Z"
const second = "2026-01-02T00:00:00Z"

describe("JsonLines", () => {
  it.live("keeps what was committed, and goes on behind it", () =>
    Effect.gen(function* () {
      const { data, folder, state } = yield* place
      yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      assert.strictEqual(text(data), "1\n")
      assert.deepStrictEqual(readdirSync(folder).sort(), ["data.jsonl", "data.jsonl.state.json"])
      const saved = JSON.parse(text(state)) as { readonly bytes: number; readonly streams: object }
      assert.strictEqual(saved.bytes, 2)
      assert.deepStrictEqual(saved.streams, { a: { time: first, step: 60, version: 1 } })
      yield* use(
        data,
        Effect.gen(function* () {
          assert.strictEqual(Option.getOrUndefined(yield* load("a"))?.time, first)
          assert.isTrue(Option.isNone(yield* load("b")))
          yield* append("2\n")
          yield* commit("b", second)
        })
      )
      assert.strictEqual(text(data), "1\n2\n")
      yield* use(
        data,
        Effect.gen(function* () {
          assert.strictEqual(Option.getOrUndefined(yield* load("a"))?.time, first)
          assert.strictEqual(Option.getOrUndefined(yield* load("b"))?.time, second)
        })
      )
    })
  )

  it.live("cuts off what a killed run wrote beyond its state, half a line included", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      writeFileSync(data, '2\n{"half', { flag: "a" })
      yield* use(data, Effect.andThen(append("3\n"), commit("a", second)))
      assert.strictEqual(text(data), "1\n3\n")
    })
  )

  it.live("cuts off what was written but never committed", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      const line = `${"x".repeat(999_999)}\n`
      yield* use(
        data,
        Effect.gen(function* () {
          const file = yield* JsonLines
          const store = yield* StateStore
          yield* append(line)
          yield* file.relieve
          yield* store.save("a", stateAt(second), 1)
          assert.strictEqual(text(data), `1\n${line}`)
        })
      )
      yield* use(
        data,
        Effect.gen(function* () {
          assert.strictEqual(Option.getOrUndefined(yield* load("a"))?.time, first)
        })
      )
      assert.strictEqual(text(data), "1\n")
    })
  )

  it.live("goes on where the very first run was killed before it committed anything", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      const line = `${"x".repeat(999_999)}\n`
      yield* use(data, Effect.void)
      // What a killed process had written: a stop of any other kind takes it back.
      writeFileSync(data, line)
      yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      assert.strictEqual(text(data), "1\n")
    })
  )

  it.live("takes back what was not committed, so that a reader finds whole windows only", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      yield* use(
        data,
        Effect.andThen(
          append(`${"x".repeat(999_999)}\n`),
          Effect.flatMap(JsonLines, (file) => file.relieve)
        )
      )
      assert.strictEqual(text(data), "1\n")
    })
  )

  it.live("is for one process at a time, and takes over from one that was killed", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      const other = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", "source-prometheus"])
        ),
        (child) => Effect.sync(() => child.kill())
      )
      writeFileSync(`${data}.lock`, `${other.pid}\n`)
      const error = yield* Effect.flip(use(data, Effect.void))
      assert.match(error.message, new RegExp(`being written by another run \\(process ${other.pid}\\)`))
      rmSync(`${data}.lock`)
      yield* use(data, Effect.void)
      assert.isFalse(existsSync(`${data}.lock`))
      // A process that is gone, one that is another program, our own id again, and nothing sensible.
      for (const owner of ["4194305", `${process.ppid}`, `${process.pid}`, "x"]) {
        writeFileSync(`${data}.lock`, `${owner}\n`)
        yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      }
      assert.strictEqual(text(data), "1\n".repeat(4))
    })
  )

  it.live("refuses the data of another source, and a file that is not the one of its state", () =>
    Effect.gen(function* () {
      const { data, state } = yield* place
      yield* use(data, Effect.andThen(append("123\n"), commit("a", first)))
      const saved = JSON.parse(text(state)) as object
      writeFileSync(state, JSON.stringify({ ...saved, source: "http://elsewhere" }))
      assert.match((yield* Effect.flip(use(data, Effect.void))).message, /holds data of http:\/\/elsewhere/)
      writeFileSync(state, JSON.stringify(saved))
      writeFileSync(data, "somebody else's\nfile\n")
      assert.match((yield* Effect.flip(use(data, Effect.void))).message, /is not the file/)
      assert.strictEqual(text(data), "somebody else's\nfile\n")
    })
  )

  it.live("writes little by little only where much has gathered", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      yield* use(
        data,
        Effect.gen(function* () {
          const file = yield* JsonLines
          yield* append("small\n")
          yield* file.relieve
          assert.strictEqual(text(data), "")
          assert.strictEqual(file.buffer.length, 6)
          yield* file.commit
          assert.strictEqual(text(data), "small\n")
          assert.deepStrictEqual([file.buffer.length, file.bytes()], [0, 6])
        })
      )
    })
  )

  it.live("makes the folders of its path", () =>
    Effect.gen(function* () {
      const { folder } = yield* place
      const data = join(folder, "a", "b", "c.jsonl")
      yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      assert.deepStrictEqual(readdirSync(join(folder, "a", "b")).sort(), ["c.jsonl", "c.jsonl.state.json"])
    })
  )

  it.live("is not disturbed by a state that a killed run had begun to write", () =>
    Effect.gen(function* () {
      const { data, folder, state } = yield* place
      yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      writeFileSync(`${state}.new`, '{"version":1,"by')
      yield* use(data, Effect.andThen(append("2\n"), commit("a", second)))
      assert.strictEqual(text(data), "1\n2\n")
      assert.deepStrictEqual(readdirSync(folder).sort(), ["data.jsonl", "data.jsonl.state.json"])
    })
  )

  for (const name of ["__proto__", "constructor", "toString", "é 😀", "a/b"]) {
    it.live(`keeps the state of a stream called ${name}`, () =>
      Effect.gen(function* () {
        const { data } = yield* place
        yield* use(data, Effect.andThen(append("1\n"), commit(name, first)))
        yield* use(
          data,
          Effect.gen(function* () {
            assert.strictEqual(Option.getOrUndefined(yield* load(name))?.time, first)
          })
        )
      })
    )
  }

  const damaged: Readonly<Record<string, string>> = {
    nothing: "",
    "half of itself": '{"version":1,"bytes":2,"str',
    "no JSON": "hello",
    "a list": "[]",
    "another version": '{"version":2,"bytes":2,"streams":{}}',
    "negative bytes": '{"version":1,"bytes":-1,"streams":{}}',
    "half a byte": '{"version":1,"bytes":1.5,"streams":{}}',
    "no streams": '{"version":1,"bytes":2}'
  }
  for (const [what, content] of Object.entries(damaged)) {
    it.live(`refuses a state file that is ${what}, and touches nothing`, () =>
      Effect.gen(function* () {
        const { data, state } = yield* place
        writeFileSync(data, "1\n2\n")
        writeFileSync(state, content)
        const error = yield* Effect.flip(use(data, append("3\n")))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, state)
        assert.include(error.message, data)
        assert.deepStrictEqual([text(data), text(state)], ["1\n2\n", content])
      })
    )
  }

  it.live("refuses the damaged state of a stream when it is asked for", () =>
    Effect.gen(function* () {
      const { data, state } = yield* place
      writeFileSync(data, "1\n")
      const streams = { good: { time: first, step: 60, version: 1 }, bad: { time: "soon" } }
      writeFileSync(state, JSON.stringify({ version: 1, source: "http://mock", bytes: 2, streams }))
      yield* use(
        data,
        Effect.gen(function* () {
          assert.isTrue(Option.isSome(yield* load("good")))
          const error = yield* Effect.flip(load("bad"))
          assert.match(error.message, /state of the stream bad/)
        })
      )
    })
  )

  it.live("refuses data of which it has no state, and touches nothing", () =>
    Effect.gen(function* () {
      const { data, state } = yield* place
      writeFileSync(data, "precious\n")
      const error = yield* Effect.flip(use(data, append("3\n")))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, data)
      assert.strictEqual(text(data), "precious\n")
      assert.isFalse(existsSync(state))
    })
  )

  it.live("takes an empty file without state", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      writeFileSync(data, "")
      yield* use(data, Effect.andThen(append("1\n"), commit("a", first)))
      assert.strictEqual(text(data), "1\n")
    })
  )

  it.live("refuses data that is shorter than its state says, or gone, and touches nothing", () =>
    Effect.gen(function* () {
      const { data, state } = yield* place
      yield* use(data, Effect.andThen(append("1\n2\n3\n"), commit("a", first)))
      const saved = text(state)
      writeFileSync(data, "1\n")
      const shortened = yield* Effect.flip(use(data, append("4\n")))
      assert.strictEqual(shortened._tag, "ConfigError")
      assert.match(shortened.message, /2 bytes.*6/)
      assert.deepStrictEqual([text(data), text(state)], ["1\n", saved])
      rmSync(data)
      const gone = yield* Effect.flip(use(data, append("4\n")))
      assert.strictEqual(gone._tag, "ConfigError")
      assert.strictEqual(text(state), saved)
    })
  )

  it.live("names the path that cannot be written", () =>
    Effect.gen(function* () {
      const { data, folder } = yield* place
      mkdirSync(data)
      const directory = yield* Effect.flip(use(data, append("1\n")))
      assert.include(directory.message, data)
      writeFileSync(join(folder, "file"), "")
      const inside = yield* Effect.flip(use(join(folder, "file", "data.jsonl"), append("1\n")))
      assert.strictEqual(inside._tag, "DestinationError")
      assert.include(inside.message, join(folder, "file"))
    })
  )
})

/** Runs once over a mock that holds `series`; answers whether all was read. */
const runOnce = (
  path: string,
  series: ReadonlyArray<MockSeries>,
  minutes: number,
  options: MockOptions = {},
  more: object = {}
) => {
  const mock = new MockPrometheus(makeDatabase(series), { lookbackMs: 1000, version: "3.0.0", ...options })
  const config = ConnectorConfig.layerFrom({
    base_url: "http://mock",
    start_date: iso(start),
    end_date: iso(start + (minutes - 1) * minute),
    step: 60,
    ...more
  })
  const services = Layer.provideMerge(
    Layer.merge(Mock.layer(mock), JsonLines.layer(path, "http://mock")),
    config
  )
  return run.pipe(
    Effect.provide(services),
    Effect.provide(NodeServices.layer),
    Effect.provide(Logger.layer([])),
    Effect.scoped
  )
}

interface Line {
  readonly stream: string
  readonly data: { readonly time: string; readonly series_id: string; readonly value: number }
}

/** Stream, series and time of every record. Throws where one comes twice. */
const keysOf = (path: string): ReadonlySet<string> => {
  const keys = new Set<string>()
  for (const line of text(path).trimEnd().split("\n")) {
    const { data, stream } = JSON.parse(line) as Line
    const key = `${stream} ${data.series_id} ${data.time}`
    if (keys.has(key)) throw new Error(`${key} is there twice`)
    keys.add(key)
  }
  return keys
}

describe("run", () => {
  it.live("adds only what is new", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      const series = [...gauge("a", 100, 3), ...gauge("b", 40)]
      assert.isTrue(yield* runOnce(data, series, 50))
      assert.strictEqual(keysOf(data).size, 3 * 50 + 40)
      const before = text(data)
      assert.isTrue(yield* runOnce(data, series, 50))
      assert.strictEqual(text(data), before)
      assert.isTrue(yield* runOnce(data, [...series, ...gauge("new", 10)], 100))
      assert.isTrue(text(data).startsWith(before))
      assert.strictEqual(keysOf(data).size, 3 * 100 + 40 + 10)
    })
  )

  it.live("repeats nothing of a stream that failed in the middle of a window", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      const series = ["a", "b", "c"].flatMap((name) => gauge(name, 30, 4))
      const ok = yield* runOnce(
        data,
        series,
        30,
        {
          chunkBytes: 300,
          faults: ({ params, path }) =>
            path === "/api/v1/query_range" && params.get("query")?.includes('"b"') === true
              ? { cutAfterBytes: 1500 }
              : undefined
        },
        { max_retries: 0 }
      )
      assert.isFalse(ok)
      assert.isTrue(yield* runOnce(data, series, 30))
      assert.strictEqual(keysOf(data).size, 3 * 4 * 30)
    })
  )

  it.live("repeats nothing of a window that had to be split after a part of it was read", () =>
    Effect.gen(function* () {
      const { data } = yield* place
      const series = gauge("m", 30, 4)
      const asked = new Map<string, number>()
      const refusal = {
        status: 422,
        headers: { "content-type": "application/json" },
        body: '{"status":"error","error":"query processing would load too many samples into memory"}'
      }
      // Cut after the first series, then refused as a whole; the earlier half is read and the later one fails.
      const ok = yield* runOnce(data, series, 30, {
        chunkBytes: 300,
        faults: ({ params, path }) => {
          if (path !== "/api/v1/query_range") return undefined
          const range = `${params.get("start")} ${params.get("end")}`
          const attempt = (asked.get(range) ?? 0) + 1
          asked.set(range, attempt)
          if (Number(params.get("start")) * 1000 > start) return { status: 400, body: "no" }
          const points = (Number(params.get("end")) - Number(params.get("start"))) / 60 + 1
          if (points < 30) return undefined
          return attempt === 1 ? { cutAfterBytes: 1500 } : refusal
        }
      })
      assert.isFalse(ok)
      assert.isTrue(yield* runOnce(data, series, 30))
      assert.strictEqual(keysOf(data).size, 4 * 30)
    })
  )
})
