/** Start timestamps, which newer chunks may have between their samples. Samples are read without them. */
import type { BitReader } from "./BitReader.ts"

/** Which samples have a start timestamp. */
export interface StartHeader {
  readonly hasFirst: boolean
  /** From which sample on each has one; 0 if none has. */
  readonly changesFrom: number
}

export const readStartHeader = (reader: BitReader): StartHeader => ({
  hasFirst: reader.bits(1) === 1,
  changesFrom: reader.bits(7)
})

/** Skips the start timestamp of a sample, if it has one. */
export const skipStart = (
  reader: BitReader,
  { changesFrom, hasFirst }: StartHeader,
  sample: number
): void => {
  if (sample === 0) {
    if (hasFirst) reader.varint()
  } else if (changesFrom > 0 && sample >= changesFrom) reader.varbitInt()
}
