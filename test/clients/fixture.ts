/** The source for Airbyte's clients: a server with every kind of data that ever caused trouble, and a password. */
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { awkward, start } from "../support/dataset.ts"
import type { SeriesInput } from "../support/openMetrics.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"

/** The path of the built connector, which clients start. */
export const executable = fileURLToPath(new URL("../../dist/source-prometheus.js", import.meta.url))

/** A file of this folder. */
export const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const MINUTE = 60_000

/** The time so many hours after the start of the data, in a configuration's format. */
export const hours = (count: number): string =>
  new Date(start + count * 60 * MINUTE).toISOString().replace(".000Z", "Z")

/** Values that are special, exact or unusual, but within the numeric range of warehouses. */
const unusualValues = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
  0.30000000000000004,
  1.2345678901234567,
  -273.15,
  1e-7,
  0.000001,
  1.5e-9,
  2 ** 53 + 2,
  123456789012345680000,
  1e21,
  -9.9e28
]

const unusual = (): SeriesInput => ({
  labels: { __name__: "unusual" },
  samples: Array.from({ length: 600 }, (_, i) => [start + i * MINUTE, unusualValues[i % 14]!] as const)
})

/** Native histograms of the last hour, which only a running server can ingest. */
const histograms = {
  labels: { __name__: "latency", job: "api" },
  samples: Array.from({ length: 60 }, (_, i) => {
    const histogram = {
      count: 6 + i,
      sum: 18.4 * i,
      schema: 1,
      zeroThreshold: 0.001,
      zeroCount: i,
      offset: -1
    }
    return [start + (11 * 60 + i) * MINUTE, { ...histogram, counts: [1, 2, 3] }] as const
  })
}

/**
 * Twelve hours of data behind basic authentication. `extreme` includes values that fit into a JSON number but not into
 * the DECIMAL(38, 9) of warehouses: from 1e29 on, PyAirbyte's DuckDB rejects them, and with them the entire load.
 */
export const makeServer = Effect.fnUntraced(function* (values: "extreme" | "storable") {
  const all = awkward().filter(({ labels }) => !("__name__" in labels) || labels.__name__ !== "special")
  const server = yield* RealPrometheus.make({
    series: values === "extreme" ? awkward() : [...all, unusual()],
    basicAuth: true,
    remoteWriteReceiver: true,
    flags: ["--enable-feature=native-histograms"]
  })
  yield* server.remoteWrite([histograms])
  return server
})

/** A minimal configuration, with a step of one minute. */
export const configFor = (server: RealPrometheus.RealPrometheus) => ({
  base_url: server.baseUrl,
  basic_auth_user: RealPrometheus.basicAuthUser,
  basic_auth_pass: RealPrometheus.basicAuthPassword,
  start_date: hours(0),
  end_date: hours(12),
  step: 60
})

/** A password that no server accepts. */
export const wrongPassword = "not-the-password"
