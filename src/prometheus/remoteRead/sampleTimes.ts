/** The number and the times of the samples in a chunk. */
import type { BitReader } from "./BitReader.ts"
import { damaged, unsupported } from "./RemoteReadError.ts"

/** Reads the number of samples, stored in `bits` bits. After a header of `headerBits`, each sample takes at least one bit. */
export const sampleCount = (reader: BitReader, bits: number, headerBits: number): number => {
  const count = reader.bits(bits)
  if (count > reader.remaining - headerBits) {
    throw damaged(`a chunk claims ${count} samples, but has ${reader.remaining / 8} bytes`)
  }
  return count
}

/** A time of a sample, in milliseconds. Times that a number cannot hold are centuries away from all clocks. */
export const checkedTime = (time: number): number => {
  if (!Number.isSafeInteger(time)) throw farTime(time)
  return time
}

export const farTime = (time: number) => unsupported(`a sample has a time out of range, ${time} ms`)

/** The time of the first sample of a float chunk. */
export const firstTime = (reader: BitReader): number => {
  reader.signedVarint()
  return checkedTime((reader.high | 0) * 4294967296 + reader.low)
}

/** The interval between the first two samples of a float chunk. */
export const firstDelta = (reader: BitReader): number => {
  reader.varint()
  return checkedTime(reader.high * 4294967296 + reader.low)
}

/** An interval whose difference from the one before takes 64 bits. */
export const longDelta = (reader: BitReader, delta: number): number => {
  reader.bits64(64)
  return checkedTime(delta + (reader.high | 0) * 4294967296 + reader.low)
}

export const lateTime = () => damaged("the samples of a series are not in the order of time")
