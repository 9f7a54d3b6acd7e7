/** What a server says about its own process: Prometheus and VictoriaMetrics show it as a target would. */
import type { BackendKind } from "./Backend.ts"
import type { ApiRequest } from "./http/ApiRequest.ts"
import type { Bounds } from "./http/BoundedText.ts"

/** The CPU time of a process so far. */
export interface ServerCpu {
  readonly seconds: number
  /** When the process started, in seconds since the epoch: another one counts from zero. */
  readonly startedAt: number
}

/** The kinds of servers that consist of one process, which is the one that responds. */
export const showsCpu: ReadonlySet<BackendKind> = new Set([
  "prometheus",
  "prometheus2",
  "prometheus3",
  "victoriaMetrics"
])

export const cpuRequest: ApiRequest = {
  method: "GET",
  path: "/metrics",
  params: {},
  accepts: /^text\/plain|^application\/openmetrics-text/
}

/** The page of a large server has some hundred KiB. */
export const cpuBounds: Bounds = { bytes: 8 * 1024 * 1024, depth: 16, containers: 1_000_000 }

/** Finds the figures in a page of metrics. */
export const parseServerCpu = (page: string): ServerCpu | undefined => {
  const valueOf = (name: string): number =>
    Number(new RegExp(`^${name}(?:\\{[^}\\n]*\\})? ([0-9.eE+-]+)`, "m").exec(page)?.[1])
  const [seconds, startedAt] = [valueOf("process_cpu_seconds_total"), valueOf("process_start_time_seconds")]
  return Number.isFinite(seconds) && Number.isFinite(startedAt) ? { seconds, startedAt } : undefined
}

/** The seconds between two readings; undefined if they are not of the same process. */
export const cpuBetween = (
  before: ServerCpu | undefined,
  after: ServerCpu | undefined
): number | undefined =>
  before === undefined || after === undefined || before.startedAt !== after.startedAt
    ? undefined
    : Math.max(0, after.seconds - before.seconds)
