/** Reads chunks of floats the slow, obvious way: bits as text, integers of 64 bits as `bigint`. */
import { damaged, unsupported } from "../../../src/prometheus/remoteRead/RemoteReadError.ts"
import { type BitSample, STALE } from "./bitTexts.ts"

class Text {
  private position = 0
  private readonly text: string

  constructor(text: string) {
    this.text = text
  }

  get remaining(): number {
    return this.text.length - this.position
  }

  take(count: number): bigint {
    if (count > this.remaining) throw damaged("cut short")
    const taken = this.text.slice(this.position, this.position + count)
    this.position += count
    return count === 0 ? 0n : BigInt(`0b${taken}`)
  }

  /** Which of the prefixes `0`, `10`, `110`, … follows; the longest has no zero. */
  prefix(longest: number): number {
    let ones = 0
    while (ones < longest && this.take(1) === 1n) ones++
    return ones
  }

  uvarint(): bigint {
    let value = 0n
    for (let i = 0n; i < 10n; i++) {
      const byte = this.take(8)
      value |= (byte & 127n) << (7n * i)
      if (byte < 128n) return BigInt.asUintN(64, value)
    }
    throw damaged("too long")
  }

  varint(): bigint {
    const value = this.uvarint()
    return value % 2n === 0n ? value / 2n : -(value + 1n) / 2n
  }

  varbitInt(): bigint {
    const count = [0, 3, 6, 9, 12, 18, 25, 56, 64][this.prefix(8)]!
    const value = this.take(count)
    if (count === 0) return 0n
    if (count === 64) return BigInt.asIntN(64, value)
    return value > 1n << BigInt(count - 1) ? value - (1n << BigInt(count)) : value
  }
}

const isSafe = (value: bigint): boolean => value >= -(2n ** 53n) + 1n && value <= 2n ** 53n - 1n

const safe = (value: bigint): bigint => {
  if (!isSafe(value)) throw unsupported("out of range")
  return value
}

const countOf = (text: Text, header: number): number => {
  const count = Number(text.take(16))
  if (count > text.remaining - header) throw damaged("too few bits")
  return count
}

const window = (text: Text) => {
  const leading = Number(text.take(5))
  const width = Number(text.take(6)) || 64
  if (leading + width > 64) throw damaged("more than 64 bits")
  return { leading, width }
}

export const slowXor = (bits: string): ReadonlyArray<BitSample> => {
  const text = new Text(bits)
  const count = countOf(text, 0)
  const samples: Array<BitSample> = []
  let [time, delta, value] = [0n, 0n, 0n]
  let frame = { leading: 0, width: 64 }
  let isFar = false
  for (let i = 0; i < count; i++) {
    if (i === 0) {
      time = safe(text.varint())
      value = text.take(64)
    } else {
      if (i === 1) delta = safe(text.uvarint())
      else {
        const size = [0, 14, 17, 20, 64][text.prefix(4)]!
        const difference = text.take(size)
        if (size === 64) delta = safe(delta + BigInt.asIntN(64, difference))
        else if (size > 0) {
          delta += difference > 1n << BigInt(size - 1) ? difference - (1n << BigInt(size)) : difference
        }
      }
      if (delta <= 0n) throw damaged("order")
      time += delta
      isFar ||= !isSafe(time)
      const ones = text.prefix(2)
      if (ones === 2) frame = window(text)
      if (ones > 0) value ^= text.take(frame.width) << BigInt(64 - frame.leading - frame.width)
    }
    samples.push({ time, value })
  }
  if (isFar) throw unsupported("out of range")
  return samples
}

export const slowXor2 = (bits: string): ReadonlyArray<BitSample> => {
  const text = new Text(bits)
  const count = countOf(text, 8)
  if (count === 0) return []
  const hasFirst = text.take(1) === 1n
  const changesFrom = Number(text.take(7))
  const samples: Array<BitSample> = []
  let [time, delta, base] = [0n, 0n, 0n]
  let frame = { leading: 0, width: 64 }
  let isFar = false
  const within = () => {
    base ^= text.take(frame.width) << BigInt(64 - frame.leading - frame.width)
    return base
  }
  const other = () => {
    frame = window(text)
    return within()
  }
  const value = () => [() => base, within, other, () => STALE][text.prefix(3)]!()
  for (let i = 0; i < count; i++) {
    let read = base
    if (i === 0) {
      time = safe(text.varint())
      read = text.take(64)
      if (read !== STALE) base = read
      if (hasFirst) text.uvarint()
    } else {
      if (i === 1) {
        delta = safe(text.uvarint())
        read = value()
      } else {
        const prefix = text.prefix(5)
        if (prefix === 1) read = text.take(1) === 0n ? within() : other()
        else if (prefix === 5) read = STALE
        else if (prefix > 1) {
          const size = [13, 20, 64][prefix - 2]!
          delta += BigInt.asIntN(size, text.take(size))
          if (size === 64) safe(delta)
          read = value()
        }
      }
      if (delta <= 0n) throw damaged("order")
      time += delta
      isFar ||= !isSafe(time)
      if (changesFrom > 0 && i >= changesFrom) text.varbitInt()
    }
    samples.push({ time, value: read })
  }
  if (isFar) throw unsupported("out of range")
  return samples
}
