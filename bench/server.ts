/** A real Prometheus on a database. */
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { collect, exitOf, kill, start } from "./children.ts"
import type { Database } from "./database.ts"
import { cpuSeconds } from "./proc.ts"

/** A running server. */
export interface Server {
  readonly baseUrl: string
  readonly version: string
  /** The CPU seconds used so far. */
  readonly cpuSeconds: () => number
  /** The number of API requests served so far, by the server's own count. */
  readonly apiRequests: () => Promise<number>
  /** The bytes of API responses sent so far, by the server's own count. */
  readonly apiBytes: () => Promise<number>
}

const START_TIMEOUT_MILLIS = 60_000
const STOP_TIMEOUT_MILLIS = 10_000

/** Starts a server, passes it to `use`, and always stops it. */
export const withServer = async <A>(
  prometheus: string,
  database: Database,
  use: (server: Server) => Promise<A>
): Promise<A> => {
  const args = [
    `--config.file=${database.configFile}`,
    `--storage.tsdb.path=${database.folder}`,
    "--storage.tsdb.retention.time=100y",
    "--web.listen-address=127.0.0.1:0"
  ]
  const child = start(prometheus, args, { stdio: ["ignore", "ignore", "pipe"] })
  const log = collect(child.stderr)
  let end: string | undefined
  exitOf(child).then(
    (exit) => {
      end = `ended with ${exit}`
    },
    (error: Error) => {
      end = error.message
    }
  )
  try {
    const baseUrl = await whenReady(log, () => end)
    return await use({
      baseUrl,
      version: await versionOf(baseUrl),
      cpuSeconds: () => cpuSeconds(child.pid!),
      apiRequests: async () => sumOfApi(await text(`${baseUrl}/metrics`), "prometheus_http_requests_total"),
      apiBytes: async () =>
        sumOfApi(await text(`${baseUrl}/metrics`), "prometheus_http_response_size_bytes_sum")
    })
  } finally {
    if (end === undefined) {
      const exited = once(child, "exit")
      child.kill("SIGTERM")
      const timer = setTimeout(() => kill(child), STOP_TIMEOUT_MILLIS)
      await exited
      clearTimeout(timer)
    }
  }
}

/** Reads the port from the log. Prometheus listens on port 0, so the system picks a free one. */
const whenReady = async (log: () => string, end: () => string | undefined): Promise<string> => {
  const deadline = performance.now() + START_TIMEOUT_MILLIS
  for (;;) {
    const port = /msg="Listening on".* address=127\.0\.0\.1:(\d+)/.exec(log())?.[1]
    if (port !== undefined && (await isReady(`http://127.0.0.1:${port}`))) return `http://127.0.0.1:${port}`
    const failure = end() ?? (performance.now() > deadline ? "did not get ready" : undefined)
    if (failure !== undefined) throw new Error(`prometheus ${failure}. Its log:\n${log()}`)
    await sleep(20)
  }
}

const isReady = async (baseUrl: string): Promise<boolean> => {
  try {
    const response = await fetch(`${baseUrl}/-/ready`)
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

const versionOf = async (baseUrl: string): Promise<string> => {
  const response = JSON.parse(await text(`${baseUrl}/api/v1/status/buildinfo`))
  return (response as { data: { version: string } }).data.version
}

const text = async (url: string): Promise<string> => {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} responded with HTTP ${response.status}: ${await response.text()}`)
  return response.text()
}

/** The sum of a metric over all paths of the API. */
const sumOfApi = (metrics: string, name: string): number =>
  Array.from(metrics.matchAll(new RegExp(`^${name}\\{.*handler="/api/v1/.*\\} (\\S+)$`, "gm")), ([, count]) =>
    Number(count)
  ).reduce((sum, count) => sum + count, 0)
