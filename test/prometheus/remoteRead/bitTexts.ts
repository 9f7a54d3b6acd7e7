/** Chunks written the slow, obvious way: bits as text, integers of 64 bits as `bigint`. */
import type { Choices } from "../../choices.ts"

/** So many bits of an integer, in two's complement. */
export const bits = (value: bigint | number, count: number): string =>
  count === 0 ? "" : BigInt.asUintN(count, BigInt(value)).toString(2).padStart(count, "0")

/** Bytes of bits; the last byte is filled with zeros. */
export const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/.{1,8}/g) ?? [], (byte) => Number.parseInt(byte.padEnd(8, "0"), 2))

/** The bits of bytes. */
export const textOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => bits(byte, 8)).join("")

export const uvarint = (value: bigint): string => {
  const rest = BigInt.asUintN(64, value)
  return rest < 128n ? bits(rest, 8) : bits((rest & 127n) | 128n, 8) + uvarint(rest >> 7n)
}

export const varint = (value: bigint): string => uvarint(value < 0n ? -2n * value - 1n : 2n * value)

const lengths = [0, 3, 6, 9, 12, 18, 25, 56]

/** A signed integer in the smallest of the lengths that a chunk can have. */
export const varbitInt = (value: bigint): string => {
  const ones = lengths.findIndex((count) =>
    count === 0 ? value === 0n : value >= 1n - (1n << BigInt(count - 1)) && value <= 1n << BigInt(count - 1)
  )
  return ones < 0 ? `11111111${bits(value, 64)}` : `${"1".repeat(ones)}0${bits(value, lengths[ones]!)}`
}

/** The same, unsigned. */
export const varbitUint = (value: bigint): string => {
  const ones = lengths.findIndex((count) => value < 1n << BigInt(count))
  return ones < 0 ? `11111111${bits(value, 64)}` : `${"1".repeat(ones)}0${bits(value, lengths[ones]!)}`
}

/** The bits of a float. */
export const bitsOf = (value: number): bigint => {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  return view.getBigUint64(0)
}

export const STALE = 0x7ff0000000000002n

/** A sample: its time, and the bits of its value. */
export interface BitSample {
  readonly time: bigint
  readonly value: bigint
}

/** The window of bits in which values differ. */
interface Window {
  leading: number
  width: number
}

const leadingZeros = (value: bigint): number => 64 - value.toString(2).length
const trailingZeros = (value: bigint): number => /0*$/.exec(value.toString(2))![0].length

/** A change of a value: within the window if it fits and `isLazy`, else with another one. */
const change = (
  difference: bigint,
  window: Window,
  choices: Choices,
  prefixes: { readonly same: string; readonly within: string; readonly other: string }
): string => {
  if (difference === 0n && !choices.oneIn(8)) return prefixes.same
  const leading = difference === 0n ? 31 : Math.min(31, leadingZeros(difference))
  const trailing = difference === 0n ? 32 : trailingZeros(difference)
  const shift = 64 - window.leading - window.width
  const fits = leading >= window.leading && trailing >= shift
  if (fits && !choices.oneIn(4)) {
    return prefixes.within + bits(difference >> BigInt(shift), window.width)
  }
  window.leading = leading
  window.width = 64 - leading - trailing
  return (
    prefixes.other +
    bits(leading, 5) +
    bits(window.width % 64, 6) +
    bits(difference >> BigInt(trailing), window.width)
  )
}

const gorilla = { same: "0", within: "10", other: "11" }

/** A value that is stored by its changes. */
export const xorWriter = (choices: Choices) => {
  const window: Window = { leading: 0, width: 64 }
  let before: bigint | undefined
  return (value: bigint): string => {
    const text = before === undefined ? bits(value, 64) : change(value ^ before, window, choices, gorilla)
    before = value
    return text
  }
}

const fits = (value: bigint, count: number): boolean =>
  value >= 1n - (1n << BigInt(count - 1)) && value <= 1n << BigInt(count - 1)

/** A chunk of the encoding XOR. */
export const xorChunk = (samples: ReadonlyArray<BitSample>, choices: Choices): string => {
  const write = xorWriter(choices)
  let delta = 0n
  let text = bits(samples.length, 16)
  samples.forEach(({ time, value }, i) => {
    if (i === 0) text += varint(time)
    else {
      const now = time - samples[i - 1]!.time
      const difference = now - delta
      delta = now
      if (i === 1) text += uvarint(now)
      else if (difference === 0n) text += "0"
      else if (fits(difference, 14)) text += `10${bits(difference, 14)}`
      else if (fits(difference, 17)) text += `110${bits(difference, 17)}`
      else if (fits(difference, 20)) text += `1110${bits(difference, 20)}`
      else text += `1111${bits(difference, 64)}`
    }
    text += write(value)
  })
  return text
}

/** Start timestamps: which sample changes first, and whether the first one is known. */
export interface Starts {
  readonly hasFirst: boolean
  readonly changesFrom: number
}

export const startHeader = ({ changesFrom, hasFirst }: Starts): string =>
  (hasFirst ? "1" : "0") + bits(changesFrom, 7)

export const start = ({ changesFrom, hasFirst }: Starts, sample: number, choices: Choices): string =>
  sample === 0
    ? hasFirst
      ? varint(BigInt(choices.between(-9, 1_000_000)))
      : ""
    : changesFrom > 0 && sample >= changesFrom
      ? varbitInt(BigInt(choices.pick([0, 1, -3, 40, -500, 100_000, 1_767_225_600_000])))
      : ""

export const anyStarts = (choices: Choices, samples: number): Starts => ({
  hasFirst: choices.oneIn(2),
  changesFrom: choices.oneIn(2) ? Math.min(127, choices.between(1, samples + 1)) : 0
})

const isSigned = (value: bigint, count: number): boolean => BigInt.asIntN(count, value) === value

/** A chunk of the encoding XOR2. */
export const xor2Chunk = (samples: ReadonlyArray<BitSample>, starts: Starts, choices: Choices): string => {
  const window: Window = { leading: 0, width: 64 }
  const joint = { same: "0", within: "10", other: "110" }
  let base = 0n
  let delta = 0n
  let text = bits(samples.length, 16) + startHeader(starts)
  samples.forEach(({ time, value }, i) => {
    const write = () => {
      if (value === STALE) return "111"
      const written = change(value ^ base, window, choices, joint)
      base = value
      return written
    }
    if (i === 0) {
      text += varint(time) + bits(value, 64)
      if (value !== STALE) base = value
    } else {
      const now = time - samples[i - 1]!.time
      const difference = now - delta
      delta = now
      if (i === 1) text += uvarint(now) + write()
      else if (difference !== 0n) {
        text += isSigned(difference, 13)
          ? `110${bits(difference, 13)}`
          : isSigned(difference, 20)
            ? `1110${bits(difference, 20)}`
            : `11110${bits(difference, 64)}`
        text += write()
      } else if (value === STALE) text += "11111"
      else if (value === base) text += "0"
      else {
        text += change(value ^ base, window, choices, { same: "", within: "100", other: "101" })
        base = value
      }
    }
    text += start(starts, i, choices)
  })
  return text
}

/** Times and values as programs have them, and hostile ones. */
export const anySamples = (choices: Choices, maximum: number): ReadonlyArray<BitSample> => {
  let time = BigInt(choices.pick([0, 1_767_225_600_000, -1_767_225_600_000, 1, 2 ** 45]))
  let interval = choices.pick([1, 1000, 15_000, 60_000, 86_400_000])
  let value = 0n
  return Array.from({ length: choices.between(1, maximum) }, () => {
    if (choices.oneIn(6)) interval = choices.pick([1, 1000, 15_000, 60_000, 3_600_000, 10 ** 10])
    time += BigInt(interval + (choices.oneIn(3) ? choices.between(0, 20) : 0))
    switch (choices.below(7)) {
      case 0:
        break
      case 1:
        value = bitsOf(choices.between(-100, 100) / 8)
        break
      case 2:
        value = bitsOf(choices.below(1_000_000) / 1000)
        break
      case 3:
        value = choices.pick([
          STALE,
          bitsOf(Number.NaN),
          bitsOf(-0),
          bitsOf(Infinity),
          0x7ff8dead0000beefn,
          1n
        ])
        break
      case 4:
        value ^= 1n << BigInt(choices.below(64))
        break
      case 5:
        value = (BigInt(choices.below(2 ** 32)) << 32n) | BigInt(choices.below(2 ** 32))
        break
      default:
        value = bitsOf(choices.below(2 ** 32))
    }
    return { time, value }
  })
}
