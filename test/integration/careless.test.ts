/** User mistakes that must not lose data, in every destination: the built program against the mock. */
import { createHash } from "node:crypto"
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join, relative } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { change, query } from "../destinations/duckdb/steps.ts"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { gauge, iso, minute, start } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"

const formats = ["duckdb", "parquet", "jsonl"] as const
type Format = (typeof formats)[number]

const place = (format: Format, folder: string) => {
  const path = join(folder, format === "duckdb" ? "data.duckdb" : "data")
  const table = (stream: string) =>
    format === "duckdb"
      ? `"${stream}"`
      : format === "parquet"
        ? `read_parquet('${path}/${stream}/*/*.parquet')`
        : `(SELECT "data".series_id AS series_id, "data".time AS time FROM read_json('${path}/${stream}.jsonl'))`
  return {
    path,
    to: `${format}:${path}`,
    /** The times of the rows of a stream with one series, in minutes from the start, in order. */
    minutes: (stream: string) =>
      Effect.map(
        query(
          format === "duckdb" ? path : ":memory:",
          `SELECT (epoch_ms(time::TIMESTAMPTZ) - ${start})::BIGINT // ${minute} AS minute FROM ${table(stream)} ORDER BY 1`
        ),
        (rows) => rows.map((row) => Number((row as { readonly minute: unknown }).minute))
      )
  }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** Everything in a folder: names, sizes, times and hashes of the content. */
const tree = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const { mtimeMs, size } = statSync(path)
      const bytes = entry.isFile() ? createHash("sha256").update(readFileSync(path)).digest("hex") : ""
      return `${relative(folder, path)} ${size} ${mtimeMs} ${bytes}`
    })
    .sort()

describe.each(formats)("a mistake, with %s", (format) => {
  const setUp = Effect.gen(function* () {
    const series = [...gauge("a", 200), ...gauge("b", 200)]
    const { config, mock } = yield* serve(series, 200)
    const files = yield* connector.workspace
    const { step: _, ...withoutStep } = config as Record<string, unknown>
    const destination = place(format, files.path(""))
    const run = (given: object, ...flags: ReadonlyArray<string>) =>
      child.run(
        [
          "run",
          "--config",
          files.write("c.json", given),
          ...(flags.includes("--to") ? [] : ["--to", destination.to]),
          ...flags
        ],
        { cwd: files.path("") }
      )
    return { config: config as Record<string, unknown>, destination, files, mock, run, withoutStep }
  })

  it.live("a different step is refused, and a run without a step uses that of the destination", () =>
    Effect.gen(function* () {
      const { config, destination, run, withoutStep } = yield* setUp
      const first = yield* run({ ...config, step: 300, end_date: iso(start + 99 * minute) })
      assert.strictEqual(first.code, 0, first.stderr)
      const other = yield* run(config)
      assert.strictEqual(other.code, 1)
      assert.match(
        other.stderr,
        /The step is 1 min, but \S+ has rows of a, b with a step of 5 min\..*--step 5m/
      )
      const fives = numbers(0, 39).map((i) => i * 5)
      assert.deepStrictEqual(yield* destination.minutes("a"), fives.slice(0, 20))
      const none = yield* run(withoutStep)
      assert.strictEqual(none.code, 0, none.stderr)
      assert.match(none.stderr, /^No step is given, so the run takes the step of \S+: 5 min\.\n/)
      assert.deepStrictEqual(yield* destination.minutes("a"), fives)
    })
  )

  it.live("a start that is moved back adds the earlier rows, and its dry run changes nothing", () =>
    Effect.gen(function* () {
      const { config, destination, files, run } = yield* setUp
      const first = yield* run({
        ...config,
        start_date: iso(start + 100 * minute),
        end_date: iso(start + 149 * minute)
      })
      assert.strictEqual(first.code, 0, first.stderr)
      const before = tree(files.path("")).filter((line) => !line.startsWith("c.json"))
      const dry = yield* run(config, "--dry-run")
      assert.strictEqual(dry.code, 0, dry.stderr)
      assert.match(
        dry.stderr,
        /The start is before the data of a, b: missing data from \S+ to \S+ would be read and added\./
      )
      assert.match(dry.stdout, /^a +1 +150 /m)
      assert.deepStrictEqual(
        tree(files.path("")).filter((line) => !line.startsWith("c.json")),
        before
      )
      const second = yield* run(config)
      assert.strictEqual(second.code, 0, second.stderr)
      assert.match(second.stderr, /is read and added/)
      assert.match(second.stdout, /300 new rows/)
      for (const stream of ["a", "b"]) {
        assert.deepStrictEqual(yield* destination.minutes(stream), numbers(0, 199))
      }
      assert.match((yield* run(config)).stdout, /0 new rows|[Nn]othing new/)
    })
  )

  it.live("a refresh that would lose rows is refused without a terminal, unless --yes is given", () =>
    Effect.gen(function* () {
      const { config, destination, run } = yield* setUp
      assert.strictEqual((yield* run(config)).code, 0)
      // Has the same effect as a server that has deleted the older half.
      const less = { ...config, start_date: iso(start + 100 * minute) }
      for (const flags of [["--full-refresh"], ["--mode", "full_refresh_overwrite"]]) {
        const refused = yield* run(less, ...flags)
        assert.deepStrictEqual([refused.code, refused.stdout], [1, ""], refused.stderr)
        assert.include(
          refused.stderr,
          `a: 100 of 200 rows would be lost, all from ${iso(start)} to before ${iso(start + 100 * minute)}`
        )
        assert.match(
          refused.stderr,
          /In total, at least 200 of 400 rows in 2 streams would be lost\.[\s\S]* run with --yes/
        )
      }
      const dry = yield* run(less, "--full-refresh", "--dry-run")
      assert.strictEqual(dry.code, 0, dry.stderr)
      assert.include(dry.stderr, "a: 100 of 200 rows would be lost")
      assert.deepStrictEqual(yield* destination.minutes("a"), numbers(0, 199))
      const accepted = yield* run(less, "--full-refresh", "--yes")
      assert.strictEqual(accepted.code, 0, accepted.stderr)
      assert.deepStrictEqual(yield* destination.minutes("a"), numbers(100, 199))
    })
  )

  it.live("a report replaces neither the destination nor a file that is not a report", () =>
    Effect.gen(function* () {
      const { config, destination, files, run } = yield* setUp
      assert.strictEqual((yield* run(config)).code, 0)
      mkdirSync(files.path("elsewhere"))
      writeFileSync(files.path("elsewhere/notes.txt"), "mine")
      const data =
        format === "duckdb"
          ? destination.path
          : join(destination.path, format === "parquet" ? "a/report.html" : "a.jsonl")
      symlinkSync(destination.path, files.path("link"))
      const through = format === "duckdb" ? "link" : `link/${relative(destination.path, data)}`
      const paths = [data, through, "elsewhere/notes.txt", "c.json"]
      if (format === "duckdb") {
        linkSync(destination.path, files.path("elsewhere/same"))
        paths.push("elsewhere/same", `${destination.path}.wal`)
      } else paths.push(join(destination.path, "_state/x.html"), destination.path)
      const before = tree(files.path("")).filter((line) => !line.startsWith("c.json"))
      for (const path of paths) {
        const refused = yield* run(config, "--report", path)
        assert.strictEqual(refused.code, 1, `${path}: ${refused.stderr}`)
        assert.match(refused.stderr, /--report|is a folder/, path)
        assert.deepStrictEqual(
          tree(files.path("")).filter((line) => !line.startsWith("c.json")),
          before,
          path
        )
      }
      for (let again = 0; again < 2; again++) {
        const made = yield* run(config, "--report", "elsewhere/report.html")
        assert.strictEqual(made.code, 0, made.stderr)
        assert.match(readFileSync(files.path("elsewhere/report.html"), "utf8"), /^<!doctype html>/i)
      }
    })
  )

  it.live("data that was deleted by hand fails only its stream, until a full refresh repairs it", () =>
    Effect.gen(function* () {
      const { config, destination, run } = yield* setUp
      const first = yield* run({ ...config, end_date: iso(start + 99 * minute) })
      assert.strictEqual(first.code, 0, first.stderr)
      if (format === "duckdb") yield* change(destination.path, "DROP TABLE a")
      else rmSync(join(destination.path, format === "parquet" ? "a" : "a.jsonl"), { recursive: true })
      for (let again = 0; again < 2; again++) {
        const failed = yield* run(config, "--json")
        assert.strictEqual(failed.code, 1)
        const [a, b] = (JSON.parse(failed.stdout) as { streams: ReadonlyArray<{ error: string | null }> })
          .streams
        assert.match(a?.error ?? "", /missing|no table|is gone/i)
        assert.include(a?.error ?? "", "--full-refresh --select")
        assert.isNull(b?.error ?? null)
      }
      assert.deepStrictEqual(yield* destination.minutes("b"), numbers(0, 199))
      const repaired = yield* run(config, "--full-refresh", "--select", "a")
      assert.strictEqual(repaired.code, 0, repaired.stderr)
      assert.strictEqual((yield* run(config)).code, 0)
      for (const stream of ["a", "b"]) {
        assert.deepStrictEqual(yield* destination.minutes(stream), numbers(0, 199))
      }
    })
  )

  it.live("foreign data under a stream's name fails only that stream, and is kept", () =>
    Effect.gen(function* () {
      const { config, destination, run } = yield* setUp
      // The first run makes this a destination of source-prometheus.
      assert.strictEqual((yield* run(config, "--select", "b")).code, 0)
      const theirs = join(destination.path, format === "parquet" ? "a/theirs.parquet" : "a.jsonl")
      if (format === "duckdb") {
        yield* change(destination.path, "CREATE TABLE a AS SELECT 42 AS mine")
      } else {
        mkdirSync(join(theirs, ".."), { recursive: true })
        writeFileSync(theirs, "mine")
      }
      for (const flags of [[], ["--full-refresh", "--yes"]]) {
        const failed = yield* run(config, "--json", ...flags)
        assert.strictEqual(failed.code, 1, failed.stderr)
        const { streams } = JSON.parse(failed.stdout) as {
          streams: ReadonlyArray<{ name: string; error: string | null }>
        }
        assert.isString(streams.find(({ name }) => name === "a")?.error)
        assert.isNull(streams.find(({ name }) => name === "b")?.error)
      }
      if (format === "duckdb") {
        const [row] = yield* query(destination.path, "SELECT mine FROM a")
        assert.strictEqual(Number((row as { readonly mine: unknown }).mine), 42)
      } else assert.strictEqual(readFileSync(theirs, "utf8"), "mine")
      assert.deepStrictEqual(yield* destination.minutes("b"), numbers(0, 199))
    })
  )

  it.live("a refresh with an earlier end or of uncountable rows is refused like other losses", () =>
    Effect.gen(function* () {
      const { config, destination, run } = yield* setUp
      assert.strictEqual((yield* run({ ...config, start_date: iso(start + 50 * minute) })).code, 0)
      // The refresh has more rows and starts earlier, but lacks the last rows.
      const shorter = yield* run({ ...config, end_date: iso(start + 180 * minute) }, "--full-refresh")
      assert.strictEqual(shorter.code, 1)
      assert.include(shorter.stderr, `all after ${iso(start + 180 * minute)}`)
      if (format === "duckdb") {
        yield* change(
          destination.path,
          "UPDATE _source_prometheus.streams SET entry = '{}' WHERE stream = 'a'"
        )
      } else writeFileSync(join(destination.path, "_state/a.json"), "{}")
      const refused = yield* run(config, "--full-refresh", "--select", "a")
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stderr, /rows of a that cannot be counted[^\n]*\n[\s\S]*--yes/)
      assert.deepStrictEqual(yield* destination.minutes("a"), numbers(50, 199))
      const repaired = yield* run(config, "--full-refresh", "--select", "a", "--yes")
      assert.strictEqual(repaired.code, 0, repaired.stderr)
      assert.deepStrictEqual(yield* destination.minutes("a"), numbers(0, 199))
    })
  )

  it.live("a destination inside another one is refused", () =>
    Effect.gen(function* () {
      const { config, destination, files, run } = yield* setUp
      assert.strictEqual((yield* run(config)).code, 0)
      const inner =
        format === "duckdb"
          ? [`duckdb:${destination.path}.wal`]
          : [
              "jsonl:data/_state/_new",
              "parquet:data/a",
              "duckdb:data/_state/x.duckdb",
              "duckdb:data/x.duckdb"
            ]
      const before = tree(files.path("")).filter((line) => !line.startsWith("c.json"))
      for (const to of inner) {
        const refused = yield* run(config, "--to", to)
        assert.notStrictEqual(refused.code, 0, to)
      }
      assert.deepStrictEqual(
        tree(files.path("")).filter((line) => !line.startsWith("c.json")),
        before
      )
    })
  )
})
