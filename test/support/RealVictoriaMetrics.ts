/**
 * A real VictoriaMetrics (a single node) as a scoped resource: a fresh folder, a fresh port, a known database.
 *
 * What it does not keep of what it is given: NaN, the sign of zero, and more than some 12 significant digits; nor very
 * small values beside very large ones, since a block of samples has one exponent.
 */
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { findVictoriaMetrics } from "./binaries.ts"
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

/** Starts a server and gives it its samples, until the scope closes: no process and no file remains. */
export const make = Effect.fnUntraced(function* (
  options: RealServerOptions = {}
): Effect.fn.Return<RealServer, RealServerError, Scope.Scope> {
  const program = yield* attempt(findVictoriaMetrics)
  const folder = yield* Server.folder
  const server = yield* Server.start(
    folder,
    {
      program,
      args: (port) => [...flags(folder, options), `-httpListenAddr=127.0.0.1:${port}`],
      pathPrefix: prefix(options),
      // It does not log which port it got. Another one may have taken the port that was chosen: its folder is its own.
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

/** Makes what was written searchable at once, which takes up to seconds else. */
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
