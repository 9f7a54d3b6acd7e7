/** Chunks of the encoding XOR: Gorilla's, with times in milliseconds. */
import { type BitReader, HIGH } from "./BitReader.ts"
import type { FloatTarget } from "./FloatColumns.ts"
import { damaged } from "./RemoteReadError.ts"
import { checkedTime, firstDelta, firstTime, lateTime, longDelta, sampleCount } from "./sampleTimes.ts"
import { invalidWindow } from "./XorValue.ts"

/** Decodes a chunk into the space that `room` reserves. Returns the number of samples. */
export const decodeXorChunk = (reader: BitReader, room: (samples: number) => FloatTarget): number => {
  const count = sampleCount(reader, 16, 0)
  if (count === 0) return 0
  const { columns, start } = room(count)
  const { times, words } = columns
  let time = firstTime(reader)
  reader.bits64(64)
  let { high, low } = reader
  times[start] = time
  words[2 * start + HIGH] = high
  words[2 * start + 1 - HIGH] = low
  if (count === 1) return count

  // Everything in local variables: this loop decodes nearly all samples. It looks beyond the end, where zeros follow, and
  // compares the position once for each sample.
  const { bytes, end, view } = reader
  let delta = firstDelta(reader)
  let { position } = reader
  let trailing = 0
  let width = 64
  for (let i = start + 1; i < start + count; i++) {
    let index = position >>> 3
    let shift = position & 7
    let word = (view.getUint32(index) << shift) | (bytes[index + 4]! >>> (8 - shift))
    if (i > start + 1) {
      // The difference between this interval and the one before.
      if (word >= 0) position++
      else {
        if ((word & 0x40000000) === 0) {
          const bits = (word << 2) >>> 18
          delta += bits > 0x2000 ? bits - 0x4000 : bits
          position += 16
        } else if ((word & 0x20000000) === 0) {
          const bits = (word << 3) >>> 15
          delta += bits > 0x10000 ? bits - 0x20000 : bits
          position += 20
        } else if ((word & 0x10000000) === 0) {
          const bits = (word << 4) >>> 12
          delta += bits > 0x80000 ? bits - 0x100000 : bits
          position += 24
        } else {
          reader.position = position + 4
          delta = longDelta(reader, delta)
          position = reader.position
        }
      }
      index = position >>> 3
      shift = position & 7
      word = (view.getUint32(index) << shift) | (bytes[index + 4]! >>> (8 - shift))
    }
    if (delta <= 0) throw lateTime()
    time += delta

    if (word >= 0) position++
    else {
      if ((word & 0x40000000) === 0) position += 2
      else {
        const leading = (word >>> 25) & 31
        width = (word >>> 19) & 63 || 64
        if (leading + width > 64) throw invalidWindow()
        trailing = 64 - leading - width
        position += 13
      }
      index = position >>> 3
      shift = position & 7
      word = (view.getUint32(index) << shift) | (bytes[index + 4]! >>> (8 - shift))
      position += width
      if (width <= 32) {
        const bits = word >>> (32 - width)
        if (trailing >= 32) high ^= bits << (trailing - 32)
        else {
          low ^= bits << trailing
          if (trailing > 0) high ^= bits >>> (32 - trailing)
        }
      } else {
        const upper = width === 64 ? word : word >>> (64 - width)
        const at = position - 32
        index = at >>> 3
        shift = at & 7
        const lower = (view.getUint32(index) << shift) | (bytes[index + 4]! >>> (8 - shift))
        if (trailing === 0) {
          high ^= upper
          low ^= lower
        } else {
          high ^= (upper << trailing) | (lower >>> (32 - trailing))
          low ^= lower << trailing
        }
      }
    }
    if (position > end) throw damaged("a chunk is cut short")
    times[i] = time
    words[2 * i + HIGH] = high
    words[2 * i + 1 - HIGH] = low
  }
  checkedTime(time)
  return count
}
