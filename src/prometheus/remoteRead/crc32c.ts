/** The checksum of frames: CRC-32 with Castagnoli's polynomial. */
import { checksum } from "../../wasm/checksum.wasm.ts"
import { type Constant, load, newMemory } from "../../wasm/load.ts"

interface Exports {
  readonly BYTES: Constant
  readonly BYTES_CAPACITY: Constant
  readonly prepare: () => void
  readonly update: (remainder: number, length: number) => number
}

const open = () => {
  const memory = newMemory()
  const program = load<Exports>(checksum, memory)
  program.prepare()
  const { BYTES, BYTES_CAPACITY, update } = program
  return { bytes: new Uint8Array(memory.buffer, BYTES.value, BYTES_CAPACITY.value), update }
}

let opened: ReturnType<typeof open> | undefined

/** The checksum of `bytes[start … end)`. */
export const crc32c = (bytes: Uint8Array, start = 0, end = bytes.length): number => {
  opened ??= open()
  const { bytes: own, update } = opened
  let remainder = 0xffffffff
  for (let from = start; from < end; from += own.length) {
    const to = Math.min(end, from + own.length)
    own.set(bytes.subarray(from, to))
    remainder = update(remainder, to - from)
  }
  return ~remainder >>> 0
}
