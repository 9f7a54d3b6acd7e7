/** Folders that containers share, and full disks: the built executable in its own Linux namespaces. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { makeDatabase, makeSeries } from "../../src/mock/MockSeries.ts"
import { SummaryDocument } from "../../src/report/summaryJson.ts"
import { queryDatabase } from "../destinations/duckdb/queryDatabase.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { pointsOf, serve, serveMock } from "../support/mockServer.ts"

const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

const reportPeak = fileURLToPath(new URL("../support/reportPeak.mjs", import.meta.url))

/** Runs a command in its own namespaces, like a container. Without root, it also gets a user namespace. */
const inNamespaces = (
  namespaces: ReadonlyArray<string>,
  command: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const user = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]
      const child = spawn("unshare", [...user, ...namespaces, ...command], {
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "pipe"]
      })
      let stdout = ""
      let stderr = ""
      child.stdout.on("data", (bytes: Buffer) => {
        stdout += bytes.toString()
      })
      child.stderr.on("data", (bytes: Buffer) => {
        stderr += bytes.toString()
      })
      const ended = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }))
      ended.catch(() => {})
      return { child, result: Effect.promise(() => ended) }
    }),
    ({ child, result }) =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        result
      )
  )

/** Like in a container, the process has PID 1 in its own PID namespace. */
const container = ["--pid", "--fork", "--kill-child", "--mount-proc"]

const tables = {
  parquet: (folder: string) => `read_parquet('${folder}/up/*/*.parquet')`,
  jsonl: (folder: string) =>
    `(SELECT "data".series_id AS series_id, "data".time AS time, "data".value AS value FROM read_json('${folder}/up.jsonl'))`
} as const
const formats = Object.keys(tables) as ReadonlyArray<keyof typeof tables>

const count = (format: keyof typeof tables, folder: string) =>
  Effect.promise(async () => {
    const [row] = await queryDatabase(
      ":memory:",
      `SELECT count(*)::INT AS rows, count(DISTINCT (series_id, time))::INT AS keys FROM ${tables[format](folder)}`
    )
    return row as { readonly rows: number; readonly keys: number }
  })

const waitUntil = (isSo: () => boolean) =>
  Effect.gen(function* () {
    while (!isSo()) yield* Effect.sleep("20 millis")
  })

describe("a folder that containers share", () => {
  it.live.each(formats)("is written by one of them, and by the next once that one is gone: %s", (format) =>
    Effect.gen(function* () {
      // Later windows wait, so that the first container runs for as long as the test needs.
      let isHeld = true
      const mock = new MockPrometheus(makeDatabase(gauge("up", 200)), {
        lookbackMillis: 1000,
        version: "3.0.0",
        faults: (request) =>
          isHeld && pointsOf(request) > 0 && Number(request.params.get("start")) * 1000 > start
            ? { delayMillis: 600_000 }
            : undefined
      })
      const { config } = yield* serveMock(mock, 200)
      const files = yield* connector.workspace
      const folder = files.path("data")
      const run = (to = folder) => [
        process.execPath,
        executable,
        "run",
        "--config",
        files.write("c.json", config),
        "--to",
        `${format}:${to}`,
        "--json"
      ]
      const first = yield* inNamespaces(container, run())
      const lock = join(folder, "_state", "_lock.1")
      yield* waitUntil(() => existsSync(lock) && mock.requests.length > 2)

      const second = yield* Effect.flatMap(inNamespaces(container, run()), ({ result }) => result)
      assert.notStrictEqual(second.code, 0)
      assert.match(
        second.stderr,
        /data is being written by another run in another container or on another machine \(process 1 on \S+, since \S+\)/
      )
      const outside = yield* Effect.flatMap(inNamespaces(["--mount"], run()), ({ result }) => result)
      assert.match(outside.stderr, /in another container or on another machine \(process 1 on /)

      // Like Kubernetes: the container is killed and restarted elsewhere.
      first.child.kill("SIGKILL")
      yield* first.result
      isHeld = false
      const early = yield* Effect.flatMap(inNamespaces(container, run()), ({ result }) => result)
      assert.match(early.stderr, /this place is free in \d+ seconds, or once \S+_lock\.1 is deleted/)
      // Makes the lock two minutes old, so that it has expired.
      utimesSync(lock, Date.now() / 1000 - 121, Date.now() / 1000 - 121)
      const contenders = yield* Effect.forEach([1, 2, 3], () => inNamespaces(container, run()))
      const results = yield* Effect.forEach(contenders, ({ result }) => result)
      const succeeded = results.filter(({ code }) => code === 0)
      assert.isNotEmpty(succeeded, results.map(({ stderr }) => stderr).join("\n"))
      for (const { code, stderr } of results) {
        if (code !== 0) assert.match(stderr, /is being (written|opened) by (another|other) run/)
      }
      assert.deepStrictEqual(yield* count(format, folder), { rows: 200, keys: 200 })
      const last = yield* Effect.flatMap(inNamespaces(container, run()), ({ result }) => result)
      assert.strictEqual(last.code, 0, last.stderr)
      assert.strictEqual(
        Schema.decodeUnknownSync(Schema.fromJsonString(SummaryDocument))(last.stdout).rows,
        0
      )
      assert.deepStrictEqual(yield* count(format, folder), { rows: 200, keys: 200 })
    })
  )
})

describe("a full disk", () => {
  it.live.each(formats)("fails a run, and the next one completes it once there is room: %s", (format) =>
    Effect.gen(function* () {
      const series = gauge("up", 200, 60)
      const { config } = yield* serve(series, 200)
      const files = yield* connector.workspace
      const disk = files.path("disk")
      const out = files.path("out")
      for (const path of [disk, out]) mkdirSync(path)
      files.write("c.json", config)
      // The disk is small at first, then larger. The script copies the results, because the disk ends with the namespace.
      const script = `
        set -e
        mount -t tmpfs -o size=$SIZE tmpfs "$DISK"
        $RUN > "$OUT/first" 2> "$OUT/first.err" && echo 0 > "$OUT/first.code" || echo $? > "$OUT/first.code"
        mount -o remount,size=64m "$DISK"
        $RUN > "$OUT/second" 2> "$OUT/second.err" && echo 0 > "$OUT/second.code" || echo $? > "$OUT/second.code"
        cp -R "$DISK/data" "$OUT/data"
      `
      for (const size of format === "jsonl" ? ["12k", "100k", "1m"] : ["12k", "20k", "28k"]) {
        const { result } = yield* inNamespaces(["--mount"], ["sh", "-c", script], {
          SIZE: size,
          DISK: disk,
          OUT: out,
          RUN: `${process.execPath} ${executable} run --config ${files.path("c.json")} --to ${format}:${disk}/data --json`
        })
        const { code, stderr } = yield* result
        assert.strictEqual(code, 0, stderr)
        const read = (name: string) => readFileSync(join(out, name), "utf8")
        assert.notStrictEqual(read("first.code").trim(), "0", size)
        assert.match(read("first.err"), /the disk is full\. Make room and run again/)
        assert.strictEqual(read("second.code").trim(), "0", read("second.err"))
        assert.deepStrictEqual(yield* count(format, join(out, "data")), { rows: 12_000, keys: 12_000 })
        assert.notInclude(readdirSync(join(out, "data")).join(), "tmp")
        yield* Effect.promise(() =>
          import("node:fs/promises").then(({ rm }) => rm(join(out, "data"), { recursive: true }))
        )
      }
    })
  )
})

/** Everything in a folder, with content and modification times. */
const treeOf = (folder: string): ReadonlyArray<unknown> =>
  readdirSync(folder, { recursive: true })
    .map((path) => {
      const info = lstatSync(join(folder, `${path}`))
      return [`${path}`, info.mtimeMs, info.isFile() ? readFileSync(join(folder, `${path}`), "base64") : ""]
    })
    .sort()

describe("a dry run", () => {
  it.live.each(formats)("changes no file of the destination: %s", (format) =>
    Effect.gen(function* () {
      const { config } = yield* serve(gauge("up", 20), 20)
      const files = yield* connector.workspace
      const folder = files.path("data")
      const run = (end: number, ...flags: ReadonlyArray<string>) =>
        child.run([
          "run",
          "--config",
          files.write("c.json", { ...config, end_date: iso(start + end * minute) }),
          "--to",
          `${format}:${folder}`,
          ...flags
        ])
      assert.strictEqual((yield* run(9)).code, 0)
      // The remains of a killed run.
      writeFileSync(join(folder, "_state", "_new", "up.1.jsonl"), "half a line")
      if (format === "jsonl") appendFileSync(join(folder, "up.jsonl"), "half a line")
      const before = treeOf(folder)
      const { code, stderr, stdout } = yield* run(19, "--dry-run", "--json")
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /"points": ?10\b/)
      assert.deepStrictEqual(treeOf(folder), before)
      assert.strictEqual((yield* run(19)).code, 0)
      assert.deepStrictEqual(yield* count(format, folder), { rows: 20, keys: 20 })
    })
  )
})

describe("the memory of a run", () => {
  it.live.each([
    ["parquet", 300],
    ["jsonl", 220]
  ] as const)(
    "does not grow with the number of streams: %s",
    ([format, limit]) =>
      Effect.gen(function* () {
        const labels = Object.fromEntries(
          Array.from({ length: 15 }, (_, index) => [`label_${index}`, `value ${index}`])
        )
        const streams = Array.from({ length: 1000 }, (_, index) =>
          makeSeries(
            { __name__: `metric_${index}`, ...labels },
            [0, 1, 2, 3].map((point) => [start + point * minute, index] as const)
          )
        )
        const { config } = yield* serve(streams, 4)
        const files = yield* connector.workspace
        // The second run merges with the files of the first one.
        for (const [end, rows] of [
          [start + minute, 2000],
          [start + 3 * minute, 2000]
        ] as const) {
          const { code, stderr, stdout } = yield* child.run(
            [
              "run",
              "--config",
              files.write("c.json", { ...config, end_date: iso(end) }),
              "--to",
              `${format}:${files.path("data")}`,
              "--json"
            ],
            { nodeOptions: ["--import", reportPeak], env: { PEAK_FILE: files.path("peak") } }
          )
          assert.strictEqual(code, 0, stderr)
          const summary = Schema.decodeUnknownSync(Schema.fromJsonString(SummaryDocument))(stdout)
          assert.strictEqual(summary.rows, rows)
          assert.isBelow(Number(readFileSync(files.path("peak"), "utf8")), limit)
        }
      }),
    600_000
  )
})
