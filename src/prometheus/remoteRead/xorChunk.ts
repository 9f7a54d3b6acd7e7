/** Chunks of the encoding XOR: Gorilla's, with times in milliseconds. */
import { type BitReader, HIGH } from "./BitReader.ts"
import type { FloatTarget } from "./FloatColumns.ts"
import { damaged } from "./RemoteReadError.ts"
import { checkedTime, farTime, firstDelta, firstTime, lateTime, sampleCount } from "./sampleTimes.ts"
import { xorProgram } from "./XorProgram.ts"
import { invalidWindow } from "./XorValue.ts"

/** Decodes a chunk into the space that `room` reserves. Returns the number of samples. */
export const decodeXorChunk = (reader: BitReader, room: (samples: number) => FloatTarget): number => {
  const count = sampleCount(reader, 16, 0)
  if (count === 0) return 0
  const { columns, start } = room(count)
  const time = firstTime(reader)
  reader.bits64(64)
  const { high, low } = reader
  columns.set(start, time, high, low)
  if (count === 1) return count

  const interval = firstDelta(reader)
  const program = xorProgram()
  program.load(reader.bytes, reader.end / 8, count)
  program.setFirst(time, HIGH === 1 ? [low, high] : [high, low])
  const { exports, timesAt, valuesAt } = program
  const outcome = exports.decode(reader.position, reader.end, count, interval, timesAt, valuesAt)
  if (outcome !== exports.COMPLETE.value) throw errorOf(outcome)
  const times = program.times(count)
  checkedTime(times[count - 1]!)
  columns.times.set(times, start)
  columns.words.set(program.halves(count), 2 * start)
  return count
}

/** The error for which the program has ended early. */
const errorOf = (outcome: number): unknown => {
  const { exports } = xorProgram()
  if (outcome === exports.LATE_TIME.value) return lateTime()
  if (outcome === exports.INVALID_WINDOW.value) return invalidWindow()
  if (outcome === exports.FAR_TIME.value) return farTime(exports.interval())
  return damaged("a chunk is cut short")
}
