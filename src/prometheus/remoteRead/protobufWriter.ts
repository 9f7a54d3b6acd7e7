/** Writes protobuf messages, field by field. */

/** An integer field. */
export const integer = (field: number, value: number): Buffer =>
  Buffer.concat([varint(field << 3), varint(value)])

/** A field with its length: a message, a string, or a packed list. */
export const message = (field: number, content: Uint8Array): Buffer =>
  Buffer.concat([varint((field << 3) | 2), varint(content.length), content])

/** Seven bits per byte, lowest first; a negative number is written as 64 bits in two's complement. */
export const varint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
