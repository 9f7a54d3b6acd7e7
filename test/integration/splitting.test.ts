/** Real servers with low limits: refused requests are split, and every sample is read once. */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import * as connector from "../support/connector.ts"
import { start } from "../support/dataset.ts"
import type { RealServer, RealServerError, RealServerOptions } from "../support/RealServer.ts"
import { recordKey } from "../support/referenceRecords.ts"
import { describeEachConcurrently, prometheusServers, victoriaMetricsServers } from "../support/servers.ts"

const iso = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

/** A gauge with so many series, one of them without labels, and a sample per minute. */
const wide = (seriesCount: number, minutes: number) =>
  Array.from({ length: seriesCount }, (_, n) => ({
    labels: {
      __name__: "wide",
      ...(n === 0 ? {} : { instance: `10.0.${n >> 8}.${n & 255}:9100`, code: `${200 + (n % 3)}` })
    },
    samples: Array.from({ length: minutes }, (_, i) => [start + i * 60_000, i + n / 8] as const)
  }))

/** Reads `wide` from a server with the given flags, and compares it with a server without limits. */
const readLimited = Effect.fnUntraced(function* (
  make: (options: RealServerOptions) => Effect.Effect<RealServer, RealServerError, Scope.Scope>,
  seriesCount: number,
  minutes: number,
  flags: ReadonlyArray<string>,
  more: object = {}
) {
  const end = start + (minutes - 1) * 60_000
  const server = yield* make({ series: wide(seriesCount, minutes), flags })
  const files = yield* connector.workspace
  const output = yield* connector.read(
    files,
    { base_url: server.baseUrl, start_date: iso(start), end_date: iso(end), step: 60, ...more },
    connector.catalogOf("wide")
  )
  assert.deepStrictEqual([output.errors, output.stderr, output.code], [[], "", 0])
  const records = connector.byKey(output.records)
  assert.strictEqual(records.size, seriesCount * minutes)
  for (const [n, { labels, samples }] of wide(seriesCount, minutes).entries()) {
    if (n % 97 !== 0) continue
    for (const [time, value] of samples) {
      assert.strictEqual(records.get(recordKey(Object.entries(labels), time)), `${value}`)
    }
  }
  return output
})

describeEachConcurrently(prometheusServers, "a real $name", ({ make }) => {
  it.effect("with a very low --query.max-samples is read by parts of the series, without missing one", () =>
    Effect.gen(function* () {
      const output = yield* readLimited(make, 300, 30, ["--query.max-samples=100"])
      assert.isTrue(
        output.logs.some((text) =>
          /too many samples.* Requesting its series \{instance=~".*"\} apart/.test(text)
        )
      )
    })
  )

  it.effect("with a low --query.max-samples is read in shorter ranges if that is enough", () =>
    Effect.gen(function* () {
      const output = yield* readLimited(make, 100, 61, ["--query.max-samples=700"])
      assert.isTrue(output.logs.some((text) => /too many samples.* Requesting \d+ points/.test(text)))
      assert.isFalse(output.logs.some((text) => text.includes("apart")))
    })
  )

  it.effect(
    "with a low --query.timeout is read in windows that it can evaluate within the timeout",
    () =>
      Effect.gen(function* () {
        // Too short for the second window on any machine, and long enough for one point on a slow one.
        const output = yield* readLimited(make, 4000, 240, ["--query.timeout=50ms"])
        assert.match(output.logs.join("\n"), /timed out in .*\. Requesting /)
      }),
    // On a busy machine, many windows are refused and retried.
    300_000
  )

  it.effect("with --query.max-concurrency=1 is read completely, even with a concurrency of 16", () =>
    readLimited(make, 200, 300, ["--query.max-concurrency=1", "--query.timeout=3s"], {
      concurrency: 16
    })
  )
})

describeEachConcurrently(victoriaMetricsServers, "a real $name", ({ make, release }) => {
  it.effect("with a limit of samples that refuses single points is read by parts of the series", () =>
    Effect.gen(function* () {
      const output = yield* readLimited(make, 300, 20, ["-search.maxSamplesPerQuery=200"])
      assert.isTrue(output.logs.some((text) => /cannot select more than .* Requesting its series/.test(text)))
    })
  )

  // A current release does not apply the older limit to few series of one metric, and has another one.
  const [limit, words] =
    release === "Debian"
      ? (["maxUniqueTimeseries", "number of matching timeseries exceeds 40"] as const)
      : (["maxResponseSeries", "contains more than -search.maxResponseSeries=40 time series"] as const)
  it.effect(`with a limit of series (${limit}) is read by parts of the series`, () =>
    Effect.gen(function* () {
      const output = yield* readLimited(make, 300, 20, [`-search.${limit}=40`])
      assert.isTrue(
        output.logs.some((text) => text.includes(words) && text.includes("Requesting its series"))
      )
      // The older limit even refuses to list the series, which shows that shorter ranges do not help.
      if (release === "Debian") {
        assert.isFalse(output.logs.some((text) => /Requesting \d+ points/.test(text)))
      }
    })
  )
})
