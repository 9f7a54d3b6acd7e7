/** What a run costs the server. */
import { Effect, Fiber } from "effect"
import { CurrentLoadMeter, type LoadFigures } from "../prometheus/load/LoadMeter.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { cpuBetween } from "../prometheus/serverCpu.ts"

/** The requests of a run, the bytes of their responses as they were received, and the samples in them. */
export interface RunCost extends LoadFigures {
  /** The CPU time of the server's process during the run, including for other clients. Undefined if it is not shown. */
  readonly serverCpuSeconds?: number | undefined
}

export const noCost: LoadFigures = { requests: 0, bytes: 0, samples: 0 }

export const sumOfCosts = (costs: ReadonlyArray<LoadFigures>): LoadFigures =>
  costs.reduce<LoadFigures>(
    (sum, { bytes, requests, samples }) => ({
      requests: sum.requests + requests,
      bytes: sum.bytes + bytes,
      samples: sum.samples + samples
    }),
    noCost
  )

/** Begins to count. Returns an effect with the cost since then. */
export const beginCost = Effect.gen(function* () {
  const { cpu } = yield* PrometheusClient
  const meter = yield* CurrentLoadMeter
  const { bytes, requests, samples } = meter
  // Nothing waits for it.
  const first = yield* Effect.forkScoped(cpu)
  return Effect.gen(function* (): Effect.fn.Return<RunCost> {
    const before = first.pollUnsafe() === undefined ? undefined : yield* Fiber.join(first)
    yield* Fiber.interrupt(first)
    const figures: LoadFigures = {
      requests: meter.requests - requests,
      bytes: meter.bytes - bytes,
      samples: meter.samples - samples
    }
    if (before === undefined) return figures
    return { ...figures, serverCpuSeconds: cpuBetween(before, yield* cpu) }
  })
})
