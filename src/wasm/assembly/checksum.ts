/**
 * The hot loop of checksums, in AssemblyScript: CRC-32 with Castagnoli's polynomial, eight bytes at a time.
 *
 * JavaScript checks the bounds of every byte and of every look-up. `bench/README.md` shows the gain.
 */

/** The maximum number of bytes per call. */
export const BYTES_CAPACITY: i32 = 65536

/** The memory for the bytes. */
export const BYTES: usize = memory.data(BYTES_CAPACITY + 16, 16)

/** Table `n` is the effect of a byte that is followed by `n` zero bytes. */
const TABLE_BYTES: usize = 1024
const TABLES: usize = memory.data(8 * 1024, 16)

const POLYNOMIAL: u32 = 0x82f63b78

/** Fills the tables. To be called once, before the first update. */
export function prepare(): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let remainder = byte
    for (let bit = 0; bit < 8; bit++) {
      remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1
    }
    store<u32>(TABLES + ((<usize>byte) << 2), remainder)
  }
  for (let at = TABLES + TABLE_BYTES; at < TABLES + 8 * TABLE_BYTES; at += 4) {
    const before = load<u32>(at - TABLE_BYTES)
    store<u32>(at, (before >>> 8) ^ after(before, 0))
  }
}

/** The remainder after the next bytes. */
export function update(remainder: u32, length: i32): u32 {
  let at = BYTES
  const end = BYTES + length
  for (; at + 8 <= end; at += 8) {
    const first = load<u32>(at) ^ remainder
    const second = load<u32>(at, 4)
    remainder =
      after(first, 7) ^
      after(first >>> 8, 6) ^
      after(first >>> 16, 5) ^
      after(first >>> 24, 4) ^
      after(second, 3) ^
      after(second >>> 8, 2) ^
      after(second >>> 16, 1) ^
      after(second >>> 24, 0)
  }
  for (; at < end; at++) remainder = (remainder >>> 8) ^ after(remainder ^ load<u8>(at), 0)
  return remainder
}

/** The effect of the lowest byte, followed by so many zero bytes. */
function after(byte: u32, zeros: usize): u32 {
  return load<u32>(TABLES + zeros * TABLE_BYTES + ((<usize>(byte & 0xff)) << 2))
}
