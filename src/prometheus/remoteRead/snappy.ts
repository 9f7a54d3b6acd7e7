/** Snappy's block format: decompression, and a form of compression that needs no search because it only has literals. */
import { damaged, oversized } from "./RemoteReadError.ts"

/** Bytes as one literal, which every decoder accepts. */
export const snappyLiteral = (content: Uint8Array): Uint8Array<ArrayBuffer> => {
  const header: Array<number> = []
  for (let rest = content.length; ; rest = Math.floor(rest / 128)) {
    header.push(rest < 128 ? rest : (rest & 0x7f) | 0x80)
    if (rest < 128) break
  }
  if (content.length > 0) {
    const last = content.length - 1
    header.push(63 << 2, last & 0xff, (last >>> 8) & 0xff, (last >>> 16) & 0xff, last >>> 24)
  }
  const out = new Uint8Array(header.length + content.length)
  out.set(header)
  out.set(content, header.length)
  return out
}

/** The most bytes that one byte can stand for: a copy of 64 bytes takes three. */
const MAX_RATIO = 22

/** Decompresses a block to at most `maxBytes`. */
export const snappyDecompress = (bytes: Uint8Array, maxBytes: number): Uint8Array => {
  let position = 0
  let length = 0
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[position++]
    if (byte === undefined || position > 5) throw damaged("its snappy block has no valid length")
    length += (byte & 0x7f) * factor
    if (byte < 0x80) break
  }
  if (length > maxBytes) {
    throw oversized(`its snappy block claims ${length} bytes, but at most ${maxBytes} are read`)
  }
  // A claim alone takes no memory.
  if (length > bytes.length * MAX_RATIO) throw damaged("its snappy block is cut short")
  const out = new Uint8Array(length)
  let written = 0
  while (position < bytes.length) {
    const tag = bytes[position++]!
    if ((tag & 3) === 0) {
      let size = tag >>> 2
      if (size >= 60) {
        const width = size - 59
        if (position + width > bytes.length) throw damaged("its snappy block is cut short")
        size = littleEndian(bytes, position, width)
        position += width
      }
      size++
      if (size > bytes.length - position || size > length - written) {
        throw damaged("its snappy block has a literal that is too long")
      }
      out.set(bytes.subarray(position, position + size), written)
      position += size
      written += size
      continue
    }
    const width = (tag & 3) === 3 ? 4 : tag & 3
    if (position + width > bytes.length) throw damaged("its snappy block is cut short")
    const size = width === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1
    const distance = (width === 1 ? (tag >>> 5) << 8 : 0) + littleEndian(bytes, position, width)
    position += width
    if (distance === 0 || distance > written || size > length - written) {
      throw damaged("its snappy block has a copy that is out of range")
    }
    // The source may overlap what is written.
    if (distance >= size) out.copyWithin(written, written - distance, written - distance + size)
    else for (let i = written; i < written + size; i++) out[i] = out[i - distance]!
    written += size
  }
  if (written !== length) throw damaged("its snappy block is cut short")
  return out
}

const littleEndian = (bytes: Uint8Array, position: number, width: number): number => {
  let value = 0
  for (let i = width - 1; i >= 0; i--) value = value * 256 + bytes[position + i]!
  return value
}
