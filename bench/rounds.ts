/** Measures peers side by side: each of them once per round, so that a change of the machine's speed affects all. */
import type { Measurement } from "./measure.ts"

/** One of the compared commands. */
export interface Peer<Name extends string> {
  readonly name: Name
  readonly run: () => Promise<Measurement>
  /** The number of records that it writes, if any. */
  readonly records?: number
}

/** The summary of the rounds: medians, except for the memory. */
export interface Summary {
  readonly seconds: number
  readonly cpuSeconds: number
  /** The CPU time of the server meanwhile, if there is one. */
  readonly serverCpuSeconds?: number
  /** The highest of all rounds: a limit must hold in every round. */
  readonly peakRssMegabytes?: number
  readonly records?: number
  readonly recordsPerSecond?: number
}

interface Sample extends Measurement {
  readonly serverCpuSeconds?: number
}

/** Runs all peers in each round, every other time in the opposite order. */
export const alternate = async <Name extends string>(
  rounds: number,
  peers: ReadonlyArray<Peer<Name>>,
  log: (what: string) => void,
  serverCpuSeconds?: () => number
): Promise<Record<Name, Summary>> => {
  const samples = new Map<Name, Array<Sample>>(peers.map(({ name }) => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    log(`round ${round} of ${rounds}`)
    // Every other round runs backwards, because the state in which one peer leaves the server affects the next.
    for (const { name, run } of round % 2 === 1 ? peers : peers.toReversed()) {
      const before = serverCpuSeconds?.()
      const measurement = await run()
      samples
        .get(name)!
        .push(
          before === undefined
            ? measurement
            : { ...measurement, serverCpuSeconds: serverCpuSeconds!() - before }
        )
    }
  }
  return Object.fromEntries(
    peers.map(({ name, records }) => [name, summary(samples.get(name)!, records)])
  ) as Record<Name, Summary>
}

const summary = (samples: ReadonlyArray<Sample>, records: number | undefined): Summary => {
  const seconds = median(samples.map((sample) => sample.seconds))
  const memory = samples.flatMap((sample) => sample.peakRssMegabytes ?? [])
  const server = samples.flatMap((sample) => sample.serverCpuSeconds ?? [])
  return {
    seconds,
    cpuSeconds: median(samples.map((sample) => sample.cpuSeconds)),
    ...(server.length === 0 ? {} : { serverCpuSeconds: median(server) }),
    ...(memory.length === 0 ? {} : { peakRssMegabytes: Math.max(...memory) }),
    ...(records === undefined ? {} : { records, recordsPerSecond: records / seconds })
  }
}

/** The middle value, or the mean of the two middle values. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2
}
