/** The programs with Prometheus' API, for tests with the same expectations of all of them. */
import { describe } from "@effect/vitest"
import type { Effect, Scope } from "effect"
import {
  findPrometheus,
  findVictoriaMetrics,
  type PrometheusRelease,
  type VictoriaMetricsRelease
} from "./binaries.ts"
import * as RealPrometheus from "./RealPrometheus.ts"
import type { RealServer, RealServerError, RealServerOptions } from "./RealServer.ts"
import * as RealVictoriaMetrics from "./RealVictoriaMetrics.ts"
import { inCi } from "./runs.ts"

/** A kind of server. */
export interface ServerKind {
  readonly name: "Prometheus 2" | "Prometheus 3" | "VictoriaMetrics 1.79" | "current VictoriaMetrics"
  readonly program: "Prometheus" | "VictoriaMetrics"
  /** Whether a sample that is exactly as old as the look-back is the value of a point. */
  readonly lookback: "closed" | "left-open"
  /** Its programs are not on this machine. */
  readonly isMissing: boolean
  readonly make: (options?: RealServerOptions) => Made
  /** A server that accepts samples while it runs, up to an hour late. */
  readonly makeWritable: (options?: RealServerOptions) => Made
}

/** A Prometheus, with the options that only it has. */
export interface PrometheusKind extends ServerKind {
  readonly release: PrometheusRelease
  readonly make: (options?: RealPrometheus.RealPrometheusOptions) => Made
}

/** A VictoriaMetrics. */
export interface VictoriaMetricsKind extends ServerKind {
  readonly release: VictoriaMetricsRelease
}

type Made = Effect.Effect<RealServer, RealServerError, Scope.Scope>

const isMissing = (programs: Promise<unknown>): Promise<boolean> =>
  programs.then(
    () => false,
    () => true
  )

const prometheus = async (release: PrometheusRelease): Promise<PrometheusKind> => {
  const make: PrometheusKind["make"] = (options) => RealPrometheus.make({ ...options, release })
  return {
    name: `Prometheus ${release}`,
    program: "Prometheus",
    lookback: release === 2 ? "closed" : "left-open",
    release,
    isMissing: await isMissing(findPrometheus(release)),
    make,
    makeWritable: (options) => make({ ...options, remoteWriteReceiver: true, outOfOrderWindow: "1h" })
  }
}

const victoriaMetrics = async (release: VictoriaMetricsRelease): Promise<VictoriaMetricsKind> => {
  const make: ServerKind["make"] = (options) => RealVictoriaMetrics.make({ ...options, release })
  return {
    name: release === "Debian" ? "VictoriaMetrics 1.79" : "current VictoriaMetrics",
    program: "VictoriaMetrics",
    lookback: "left-open",
    release,
    isMissing: await isMissing(findVictoriaMetrics(release)),
    make,
    makeWritable: make
  }
}

/** An old and a current Prometheus. */
export const prometheusServers: ReadonlyArray<PrometheusKind> = [await prometheus(2), await prometheus(3)]

/** An old and a current VictoriaMetrics. */
export const victoriaMetricsServers: ReadonlyArray<VictoriaMetricsKind> = [
  await victoriaMetrics("Debian"),
  await victoriaMetrics("current")
]

export const servers: ReadonlyArray<ServerKind> = [...prometheusServers, ...victoriaMetricsServers]

/**
 * Runs the same tests on several kinds of servers; `$name` in the title is the name of the kind. Those of a kind whose
 * programs are missing are skipped, but not in CI.
 */
export const describeEach: DescribeEach = (kinds, title, tests) => describeAll(kinds, title, tests, false)

/** The same, with the tests of a kind running at the same time. */
export const describeEachConcurrently: DescribeEach = (kinds, title, tests) =>
  describeAll(kinds, title, tests, true)

type DescribeEach = <Kind extends ServerKind>(
  kinds: ReadonlyArray<Kind>,
  title: string,
  tests: (kind: Kind) => void
) => void

const describeAll = <Kind extends ServerKind>(
  kinds: ReadonlyArray<Kind>,
  title: string,
  tests: (kind: Kind) => void,
  concurrent: boolean
): void => {
  for (const kind of kinds) {
    describe.skipIf(kind.isMissing && !inCi)(title.replace("$name", kind.name), { concurrent }, () =>
      tests(kind)
    )
  }
}
