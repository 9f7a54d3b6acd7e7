/** Chunks of the encoding XOR2: one prefix for time and value, and optional start timestamps, which are skipped. */
import type { BitReader } from "./BitReader.ts"
import type { FloatTarget } from "./FloatColumns.ts"
import { checkedTime, firstDelta, firstTime, lateTime, longDelta, sampleCount } from "./sampleTimes.ts"
import { readStartHeader, skipStart } from "./startTimestamps.ts"
import { XorValue } from "./XorValue.ts"

/** As `decodeXorChunk`. */
export const decodeXor2Chunk = (reader: BitReader, room: (samples: number) => FloatTarget): number => {
  const count = sampleCount(reader, 16, 8)
  if (count === 0) return 0
  const starts = readStartHeader(reader)
  const { columns, start } = room(count)
  // The last value that was not stale: changes are relative to it.
  const value = new XorValue()
  let time = firstTime(reader)
  reader.bits64(64)
  const { high, low } = reader
  columns.set(start, time, high, low)
  if (!(high === STALE_HIGH && low === STALE_LOW)) {
    value.high = high
    value.low = low
  }
  skipStart(reader, starts, 0)
  let delta = 0
  for (let i = 1; i < count; i++) {
    // The prefix says how the interval changes, and with 1 and 5 also how the value does.
    const prefix = i === 1 ? 0 : reader.ones(5)
    if (i === 1) delta = firstDelta(reader)
    else if (prefix === 2) delta += signed(reader.bits(13), 13)
    else if (prefix === 3) delta += signed(reader.bits(20), 20)
    else if (prefix === 4) delta = longDelta(reader, delta)
    let isStale = prefix === 5
    if (prefix === 1) {
      if (reader.bits(1) === 0) value.readWithin(reader)
      else value.readWindow(reader)
    } else if (i === 1 || (prefix > 1 && prefix < 5)) isStale = readValue(reader, value)
    if (delta <= 0) throw lateTime()
    time += delta
    if (isStale) columns.set(start + i, time, STALE_HIGH, STALE_LOW)
    else columns.set(start + i, time, value.high, value.low)
    skipStart(reader, starts, i)
  }
  checkedTime(time)
  return count
}

/** Reads a change: `0` for none, `10` within the window, `110` with another window. Returns whether it is `111`, stale. */
const readValue = (reader: BitReader, value: XorValue): boolean => {
  const ones = reader.ones(3)
  if (ones === 1) value.readWithin(reader)
  else if (ones === 2) value.readWindow(reader)
  return ones === 3
}

const STALE_HIGH = 0x7ff00000
const STALE_LOW = 2

/** A two's complement of so many bits. */
const signed = (bits: number, count: number): number => (bits << (32 - count)) >> (32 - count)
