/** Measures peers side by side: in every round each of them once, so that a change of the machine's speed affects all. */
import type { Measurement } from "./measure.ts"

/** Something to be measured. */
export interface Peer<Name extends string> {
  readonly name: Name
  readonly run: () => Promise<Measurement>
  /** How many records it writes, if any. */
  readonly records?: number
}

/** The summary of the rounds: medians, except the memory. */
export interface Summary {
  readonly seconds: number
  readonly cpuSeconds: number
  /** What the server used meanwhile, where there is one. */
  readonly serverCpuSeconds?: number
  /** The highest of all rounds: a limit that is sometimes exceeded is not kept. */
  readonly peakRssMegabytes?: number
  readonly records?: number
  readonly recordsPerSecond?: number
}

interface Sample extends Measurement {
  readonly serverCpuSeconds?: number
}

/** Runs all peers, `rounds` times in turns, every other time in the opposite order. */
export const alternate = async <Name extends string>(
  rounds: number,
  peers: ReadonlyArray<Peer<Name>>,
  log: (what: string) => void,
  serverCpuSeconds?: () => number
): Promise<Record<Name, Summary>> => {
  const samples = new Map<Name, Array<Sample>>(peers.map(({ name }) => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    log(`round ${round} of ${rounds}`)
    // Every other round runs backwards: what one peer leaves in a server costs the next.
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

/** The middle one, or the mean of the two in the middle. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2
}
