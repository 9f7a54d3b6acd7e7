import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { DryRunDocument, dryRunJson, dryRunText } from "../../src/report/dryRun.ts"
import type { DryRun, DryRunPart, DryRunStream } from "../../src/run/estimate.ts"
import { plain } from "../../src/terminal/Appearance.ts"
import { textWidth } from "../../src/terminal/textWidth.ts"
import { start } from "./summaries.ts"

const stream = (name: string, given: Partial<DryRunStream> = {}): DryRunStream => ({
  name,
  series: 10,
  points: 1440,
  windows: 2,
  samples: 14_400,
  bytes: 172_800,
  ...given
})

const runOf = (streams: ReadonlyArray<DryRunStream>): DryRun => ({
  source: "http://localhost:9090",
  destination: "prometheus.duckdb",
  stepSeconds: 60,
  span: [start, start + 86_340_000],
  streams
})

const run = runOf([
  stream("up"),
  stream("http_requests_total", { samples: 144_000, series: 100, bytes: 1_728_000, windows: 15 }),
  stream("fresh", { points: 0, windows: 0, samples: 0, bytes: 0 })
])

describe("dryRunText", () => {
  it("has a row per stream, the largest first, and totals", () => {
    assert.strictEqual(
      dryRunText(run, { columns: Infinity, paint: plain }),
      `STREAM               SERIES  POINTS  WINDOWS   SAMPLES     BYTES
http_requests_total     100   1,440       15  ~144,000  ~1.73 MB
up                       10   1,440        2   ~14,400   ~173 kB
fresh                    10       0        0         0   0 bytes

A run would read about 158,400 samples of 120 series in 3 streams at http://localhost:9090 from 2026-01-01 00:00 to 2026-01-01 23:59 UTC, every 1 min: at least 17 queries, about 1.90 MB of responses, into prometheus.duckdb.
Nothing was read or written.`
    )
  })

  it("says what remote read would send, if the server offers it", () => {
    const remoteRead = { samples: 633_600, bytes: 2_534_400, isLikely: true }
    const text = dryRunText({ ...run, remoteRead }, { columns: Infinity, paint: plain })
    assert.include(
      text.split("\n"),
      "With remote read, which the run would probably use, the server would send about 633,600 stored samples in 2.53 MB."
    )
    assert.deepStrictEqual(JSON.parse(dryRunJson({ ...run, remoteRead })).remote_read, {
      estimated_samples: 633_600,
      estimated_bytes: 2_534_400,
      is_likely: true
    })
    assert.isUndefined(JSON.parse(dryRunJson(run)).remote_read)
  })

  it("leaves out what is not known of a table", () => {
    const table = { series: 0, points: 0, windows: 1, samples: 0, bytes: 0, isTable: true } as const
    const [header, , row] = dryRunText(runOf([stream("up"), stream("prometheus_rules", table)]), {
      columns: Infinity,
      paint: plain
    }).split("\n")
    assert.strictEqual(header, "STREAM            SERIES  POINTS  WINDOWS  SAMPLES    BYTES")
    assert.strictEqual(row?.trimEnd(), "prometheus_rules                        1")
  })

  it("reports that nothing is new", () => {
    assert.include(
      dryRunText(
        { ...runOf([stream("up", { samples: 0, bytes: 0 })]), span: undefined },
        { columns: 80, paint: plain }
      ),
      "A run would read nothing new from 1 stream at http://localhost:9090."
    )
  })

  it("counts the streams that it omits", () => {
    const many = runOf(Array.from({ length: 500 }, (_, i) => stream(`s${i}`, { samples: i })))
    const lines = dryRunText(many, { columns: 80, paint: plain }).split("\n")
    assert.strictEqual(lines[1]?.split(" ")[0], "s499")
    assert.strictEqual(lines[100], "… and 401 more with ~80,200 samples")
  })

  const columns = Schema.Int.check(Schema.isBetween({ minimum: 20, maximum: 120 }))
  it.prop(
    "has a table that fits the terminal",
    [Schema.Array(Schema.String), columns],
    ([names, columns]) => {
      const [rows] = dryRunText(runOf(names.map((name) => stream(name))), { columns, paint: plain }).split(
        "\n\n"
      )
      if (names.length === 0) return
      for (const line of rows!.split("\n")) assert.isBelow(textWidth(line), columns)
    }
  )
})

describe("dryRunJson", () => {
  it("has stable keys", () => {
    const document: unknown = JSON.parse(dryRunJson(run))
    assert.deepStrictEqual(Schema.decodeUnknownSync(DryRunDocument)(document), {
      version: 1,
      source: "http://localhost:9090",
      destination: "prometheus.duckdb",
      step_seconds: 60,
      first_time: "2026-01-01T00:00:00Z",
      last_time: "2026-01-01T23:59:00Z",
      totals: { series: 120, windows: 17, estimated_samples: 158_400, estimated_bytes: 1_900_800 },
      streams: [
        {
          name: "up",
          points: 1440,
          series: 10,
          windows: 2,
          estimated_samples: 14_400,
          estimated_bytes: 172_800
        },
        {
          name: "http_requests_total",
          points: 1440,
          series: 100,
          windows: 15,
          estimated_samples: 144_000,
          estimated_bytes: 1_728_000
        },
        { name: "fresh", points: 0, series: 10, windows: 0, estimated_samples: 0, estimated_bytes: 0 }
      ]
    })
  })
})

describe("the parts of a dry run", () => {
  const part = (first: number, owner?: number): DryRunPart => {
    const range = { firstMillis: start + first, lastMillis: start + first + 3_540_000, stepMillis: 60_000 }
    const details = { selector: "", excluded_labels: "" }
    return {
      part: {
        stream: "up",
        range,
        reason: "gap",
        slot: 1,
        grid: range,
        isReread: false,
        lookbackMillis: 0,
        details
      },
      samples: 600,
      ...(owner === undefined ? {} : { owner })
    }
  }
  const textOf = (parts: ReadonlyArray<DryRunPart>) =>
    dryRunText({ ...run, parts }, { columns: Infinity, paint: plain })

  it("are counted", () => {
    assert.include(
      textOf([part(0), part(3_600_000)]),
      "These are 2 parts that several processes can read at the same time, each with --part I/N.\n"
    )
    assert.include(
      textOf([part(0, 2), part(3_600_000, 1), part(7_200_000, 1)]),
      ": at most 2 parts per process.\n"
    )
    assert.notInclude(textOf([]), "part")
  })

  it("have stable keys", () => {
    const documentOf = (parts: ReadonlyArray<DryRunPart>) =>
      Schema.decodeUnknownSync(DryRunDocument)(JSON.parse(dryRunJson({ ...run, parts })))
    const expected = {
      stream: "up",
      first_time: "2026-01-01T00:00:00Z",
      last_time: "2026-01-01T00:59:00Z",
      reason: "gap",
      points: 60,
      estimated_samples: 600
    }
    assert.deepStrictEqual<unknown>(documentOf([part(0), part(0, 3)]).parts, [
      expected,
      { ...expected, owner: 3 }
    ])
    assert.notProperty(JSON.parse(dryRunJson(run)), "parts")
  })
})
