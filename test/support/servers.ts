/** The programs with Prometheus' API, for tests with the same expectations of all of them. */
import type { Effect, Scope } from "effect"
import * as RealPrometheus from "./RealPrometheus.ts"
import type { RealServer, RealServerError, RealServerOptions } from "./RealServer.ts"
import * as RealVictoriaMetrics from "./RealVictoriaMetrics.ts"

/** A kind of server. */
export interface ServerKind {
  readonly name: "Prometheus" | "VictoriaMetrics"
  readonly make: (options?: RealServerOptions) => Made
  /** A server that accepts samples while it runs, up to an hour late. */
  readonly makeWritable: (options?: RealServerOptions) => Made
}

type Made = Effect.Effect<RealServer, RealServerError, Scope.Scope>

export const servers: ReadonlyArray<ServerKind> = [
  {
    name: "Prometheus",
    make: RealPrometheus.make,
    makeWritable: (options) =>
      RealPrometheus.make({ ...options, remoteWriteReceiver: true, outOfOrderWindow: "1h" })
  },
  { name: "VictoriaMetrics", make: RealVictoriaMetrics.make, makeWritable: RealVictoriaMetrics.make }
]
