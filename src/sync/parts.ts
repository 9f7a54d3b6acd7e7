/**
 * The parts of a sync: the points to read of each stream, cut at absolute times into slots of one length, and the process that
 * each slot belongs to. Processes need no common plan: each computes all parts from the states, and reads its own.
 */
import { hash } from "node:crypto"
import { Schema } from "effect"
import { intersection } from "./coverage.ts"
import { Part, StreamPlan } from "./plan.ts"
import { StateDetails } from "./StreamState.ts"
import { GridRange } from "./TimeGrid.ts"

/** One part with all that another process needs to read it and to commit it. */
export const SyncPart = Schema.Struct({
  ...Part.fields,
  /** The number of its slot since the epoch. */
  slot: Schema.Int,
  /** All points of the sync, from its configured start. */
  grid: GridRange,
  /** Whether some of its points were read before. */
  isReread: Schema.Boolean,
  /** How late samples may be. */
  lookbackMillis: Schema.Int,
  /** What the state lists beside the ranges. */
  details: StateDetails
})

export type SyncPart = typeof SyncPart.Type

/**
 * The most slots between the start and the end of a stream. If there were more, slots are joined, because each may leave a gap
 * in the state.
 */
export const MAX_SLOTS = 20_000

/**
 * The length of the slots of a grid: the agreed length, as a multiple of the step, doubled as often as necessary. Processes
 * whose clocks are at both sides of such a moment divide the work differently once, which does no harm.
 */
export const slotMillis = (grid: GridRange, partMillis: number): number => {
  const { firstMillis, lastMillis, stepMillis } = grid
  let length = Math.ceil(partMillis / stepMillis) * stepMillis
  while ((lastMillis - firstMillis) / length > MAX_SLOTS) length *= 2
  return length
}

/** The parts of a stream in the order of time. Its plan must have detailed states. */
export const cutParts = (
  plan: StreamPlan,
  partMillis: number,
  lookbackMillis: number
): ReadonlyArray<SyncPart> => {
  const { details = { selector: "", excluded_labels: "" }, grid, resumed, stream } = plan
  const length = slotMillis(grid, partMillis)
  const before = resumed?.covered ?? []
  return joined(plan.parts).flatMap(({ range, reason }) => {
    const parts: Array<SyncPart> = []
    for (let { firstMillis } = range; firstMillis <= range.lastMillis; ) {
      const slot = Math.floor(firstMillis / length)
      const next = (slot + 1) * length
      const lastMillis = Math.min(range.lastMillis, next - range.stepMillis)
      const cut = { ...range, firstMillis, lastMillis }
      const isReread = intersection([cut], before).length > 0
      parts.push({ stream, range: cut, reason, slot, grid, isReread, lookbackMillis, details })
      firstMillis = next
    }
    return parts
  })
}

/** Neighbours as one range, with the reason of the last one. */
const joined = (parts: ReadonlyArray<Part>): ReadonlyArray<Part> => {
  const all: Array<Part> = []
  for (const part of parts) {
    const before = all.at(-1)
    const isNext =
      before !== undefined && before.range.lastMillis + part.range.stepMillis === part.range.firstMillis
    if (isNext)
      all[all.length - 1] = { ...part, range: { ...part.range, firstMillis: before.range.firstMillis } }
    else all.push(part)
  }
  return all
}

/** The process among `processes` that a part belongs to, counted from 0. Streams begin with different ones. */
export const ownerOf = ({ slot, stream }: Pick<SyncPart, "slot" | "stream">, processes: number): number => {
  const first = Number.parseInt(hash("sha256", stream).slice(0, 8), 16)
  return (((slot + first) % processes) + processes) % processes
}

/** The plan that reads parts of one stream. Its states are not used: `withPart` makes those of parts. */
export const planToRead = (stream: string, grid: GridRange, parts: ReadonlyArray<SyncPart>): StreamPlan =>
  new StreamPlan({
    stream,
    mode: "incremental",
    grid,
    parts: parts.map(({ range, reason }) => ({ stream, range, reason }))
  })

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** The lengths that parts may have, if they are multiples of the step. */
const lengths = [minute, 5 * minute, 15 * minute, hour, 6 * hour, day, 7 * day, 28 * day, 364 * day]

/** How many samples a part should have: half a minute of reading from a fast server, some minutes from a slow one. */
const PART_SAMPLES = 20_000_000

/** The length of the parts of a stream with so many samples at each point. */
export const proposedLength = (samplesPerPoint: number, stepMillis: number): number => {
  const points = PART_SAMPLES / samplesPerPoint
  const wanted = Math.max(stepMillis, points * stepMillis)
  const length = lengths.find((length) => length >= wanted) ?? lengths.at(-1)!
  return Math.ceil(Math.max(length, stepMillis) / stepMillis) * stepMillis
}
