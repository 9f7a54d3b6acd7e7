/** Writes responses to remote reads: protobuf messages and frames. */

import { crc32c } from "../../../src/prometheus/remoteRead/crc32c.ts"
import type { Choices } from "../../choices.ts"
import { field, varint } from "../../support/remoteWrite.ts"

/** A frame with a content. */
export const frame = (content: Uint8Array): Buffer => {
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32c(content))
  return Buffer.concat([varint(content.length), checksum, content])
}

/** Bytes in pieces of any size. */
export const pieces = (choices: Choices, bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const parts: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; ) {
    const size = choices.pick([bytes.length, 1, 2, 5, 64, 1000])
    // A copy: nothing may depend on what follows.
    parts.push(Uint8Array.from(bytes.subarray(at, at + size)))
    at += size
  }
  return parts
}

/** A chunk in a response. */
export interface ChunkInput {
  readonly encoding: number
  readonly data: Uint8Array
}

export const integer = (number: number, value: number): Buffer =>
  Buffer.concat([varint(number << 3), varint(value)])

/** The message of a series. */
export const chunkedSeries = (
  labels: ReadonlyArray<readonly [name: string, value: string]>,
  chunks: ReadonlyArray<ChunkInput>
): Buffer =>
  field(
    1,
    Buffer.concat([
      ...labels.map(([name, value]) =>
        field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, Buffer.from(value))]))
      ),
      ...chunks.map(({ data, encoding }) =>
        field(
          2,
          Buffer.concat([integer(1, 0), integer(2, 0), integer(3, encoding), field(4, Buffer.from(data))])
        )
      )
    ])
  )
