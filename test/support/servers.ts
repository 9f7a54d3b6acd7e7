/** The programs that are read as Prometheus, for tests that expect the same of all of them. */
import type { Effect, Scope } from "effect"
import * as RealPrometheus from "./RealPrometheus.ts"
import type { RealServer, RealServerError, RealServerOptions } from "./RealServer.ts"
import * as RealVictoriaMetrics from "./RealVictoriaMetrics.ts"

/** A kind of server. */
export interface ServerKind {
  readonly name: "Prometheus" | "VictoriaMetrics"
  readonly make: (options?: RealServerOptions) => Effect.Effect<RealServer, RealServerError, Scope.Scope>
}

export const servers: ReadonlyArray<ServerKind> = [
  { name: "Prometheus", make: RealPrometheus.make },
  { name: "VictoriaMetrics", make: RealVictoriaMetrics.make }
]
