/**
 * A real VictoriaMetrics (a single node) as a scoped resource: a fresh folder, a fresh port, a known database.
 *
 * It does not preserve NaN, the sign of zero, or more than about 12 significant digits; nor very small values next to
 * very large ones, because a block of samples has one exponent.
 */
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { findVictoriaMetrics, type VictoriaMetricsRelease } from "./binaries.ts"
import * as Server from "./RealServer.ts"
import {
  attempt,
  basicAuthPassword,
  basicAuthUser,
  credentials,
  prefix,
  type RealServer,
  RealServerError,
  type RealServerOptions
} from "./RealServer.ts"

/** Options of a VictoriaMetrics. */
export interface RealVictoriaMetricsOptions extends RealServerOptions {
  /** The release to run; Debian's by default. */
  readonly release?: VictoriaMetricsRelease
}

/** Runs a server with the given samples until the scope closes: no process and no file remains. */
export const make = Effect.fnUntraced(function* (
  options: RealVictoriaMetricsOptions = {}
): Effect.fn.Return<RealServer, RealServerError, Scope.Scope> {
  const program = yield* attempt(() => findVictoriaMetrics(options.release))
  const folder = yield* Server.folder
  const server = yield* Server.start(
    folder,
    {
      program,
      args: (port) => [...flags(folder, options), `-httpListenAddr=127.0.0.1:${port}`],
      pathPrefix: prefix(options),
      // It does not log its port. Another server may have taken the chosen port, so the folder identifies this one.
      ready: async (baseUrl) => {
        const response = await fetch(`${baseUrl}/metrics`, { headers: credentials(options) })
        const text = await response.text()
        return response.ok && text.includes(folder)
      }
    },
    options
  )
  const remoteWrite: RealServer["remoteWrite"] = (series) =>
    Effect.andThen(server.remoteWrite(series), flush(server))
  if (options.series !== undefined) yield* remoteWrite(options.series)
  return { ...server, remoteWrite }
})

/** Makes written samples searchable immediately, which would otherwise take up to several seconds. */
const flush = Effect.fnUntraced(function* (server: RealServer) {
  const { status, text } = yield* server.request("/internal/force_flush")
  if (status !== 200) {
    return yield* new RealServerError({ message: `/internal/force_flush returned ${status}: ${text}` })
  }
})

const flags = (folder: string, options: RealServerOptions): ReadonlyArray<string> => [
  `-storageDataPath=${join(folder, "data")}`,
  "-retentionPeriod=100y",
  ...(options.basicAuth === true
    ? [`-httpAuth.username=${basicAuthUser}`, `-httpAuth.password=${basicAuthPassword}`]
    : []),
  ...(prefix(options) === "" ? [] : [`-http.pathPrefix=${prefix(options)}`]),
  ...(options.flags ?? [])
]
