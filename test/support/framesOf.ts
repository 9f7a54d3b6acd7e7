/** The frames of a streamed remote read, if they have fewer than 16,384 bytes each. */
export const framesOf = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const frames: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; ) {
    // A varint of one or two bytes, followed by a checksum of four.
    const [low = 0, high = 0] = bytes.subarray(at)
    const length = low < 128 ? 5 + low : 6 + (low & 127) + 128 * high
    frames.push(bytes.subarray(at, at + length))
    at += length
  }
  return frames
}
