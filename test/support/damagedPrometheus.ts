/**
 * A real Prometheus whose blocks are damaged, as by a bad disk: single chunks, entire files of chunks, or an index.
 *
 * A file of chunks is a header of eight bytes and then one chunk after the other, by series in the order of their labels
 * and by time: its length as a varint, its encoding, its data, and a checksum that the server compares on each read.
 */
import { open, readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Effect, Scope } from "effect"
import * as RealPrometheus from "./RealPrometheus.ts"
import type { RealServerError } from "./RealServer.ts"

/** A chunk of floats: up to 120 samples of one series. */
export interface Chunk {
  /** The order of its block, the oldest first. */
  readonly block: number
  readonly samples: number
  readonly firstMillis: number
  /** The value of its first sample, by which a test knows the series. */
  readonly firstValue: number
}

/** What to damage. */
export interface Damage {
  /** Each chunk for which this is true is changed, so that its checksum is wrong. */
  readonly chunks?: (chunk: Chunk) => boolean
  /** In these blocks, the oldest being 0, the data of all chunks is overwritten. */
  readonly blocks?: ReadonlyArray<number>
  /** In these blocks, the entries of all series in the index are overwritten. */
  readonly series?: ReadonlyArray<number>
}

/** Runs a Prometheus on damaged blocks until the scope closes. */
export const make = (
  options: RealPrometheus.RealPrometheusOptions,
  damage: Damage
): Effect.Effect<RealPrometheus.RealPrometheus, RealServerError, Scope.Scope> =>
  RealPrometheus.make({ ...options, prepare: (folder) => damageBlocks(folder, damage) })

interface PlacedChunk extends Chunk {
  readonly file: string
  /** Where its data begins in the file. */
  readonly at: number
  readonly length: number
}

const damageBlocks = async (folder: string, damage: Damage): Promise<void> => {
  let damaged = 0
  for (const [number, block] of (await blocksOf(folder)).entries()) {
    const chunks = await chunksOf(join(block, "chunks"), number)
    const isHit = damage.blocks?.includes(number) ? () => true : (damage.chunks ?? (() => false))
    for (const chunk of chunks.filter(isHit)) {
      // Only a part of it: the first samples are intact, and still the server returns none of them.
      await overwrite(chunk.file, chunk.at + chunk.length - 4, 4)
      damaged++
    }
    if (damage.series?.includes(number)) {
      const index = join(block, "index")
      const { from, to } = await seriesSection(index)
      await overwrite(index, from, to - from)
      damaged++
    }
  }
  if (damaged === 0) throw new Error("Nothing was damaged: no chunk or block matches.")
}

/** The folders of the blocks, the oldest first. */
const blocksOf = async (folder: string): Promise<ReadonlyArray<string>> => {
  const blocks: Array<{ readonly path: string; readonly minTime: number }> = []
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const meta = await readFile(join(path, "meta.json"), "utf8").catch(() => undefined)
    if (meta !== undefined) blocks.push({ path, minTime: JSON.parse(meta).minTime })
  }
  return blocks.toSorted((a, b) => a.minTime - b.minTime).map(({ path }) => path)
}

const chunksOf = async (folder: string, block: number): Promise<ReadonlyArray<PlacedChunk>> => {
  const chunks: Array<PlacedChunk> = []
  for (const name of (await readdir(folder)).sort()) {
    const file = join(folder, name)
    const bytes = await readFile(file)
    for (let at = 8; at < bytes.length; ) {
      const [length, encodingAt] = uvarint(bytes, at)
      if (bytes[encodingAt] !== 1) throw new Error(`${file} has a chunk that is not of floats at ${at}.`)
      const dataAt = encodingAt + 1
      // The data begins with the number of samples, and the first sample's time and value.
      const [zigzagged, valueAt] = uvarint(bytes, dataAt + 2)
      const firstMillis = zigzagged % 2 === 0 ? zigzagged / 2 : -(zigzagged + 1) / 2
      const samples = bytes.readUInt16BE(dataAt)
      const firstValue = bytes.readDoubleBE(valueAt)
      chunks.push({ block, samples, firstMillis, firstValue, file, at: dataAt, length })
      at = dataAt + length + 4
    }
  }
  return chunks
}

/** Where the entries of the series are in an index. Its last 52 bytes are the places of its sections. */
const seriesSection = async (index: string): Promise<{ readonly from: number; readonly to: number }> => {
  const bytes = await readFile(index)
  const place = (n: number): number => Number(bytes.readBigUInt64BE(bytes.length - 52 + 8 * n))
  const from = place(1)
  const sections = [0, 1, 2, 3, 4, 5].map(place)
  return { from, to: Math.min(...sections.filter((other) => other > from)) }
}

/** A number of up to 53 bits in base 128, and where the next byte is. */
const uvarint = (bytes: Buffer, from: number): readonly [value: number, next: number] => {
  let value = 0
  let factor = 1
  for (let at = from; ; at++) {
    const byte = bytes[at]!
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return [value, at + 1]
    factor *= 128
  }
}

const overwrite = async (path: string, at: number, length: number): Promise<void> => {
  const file = await open(path, "r+")
  try {
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, at)
    await file.write(Buffer.from(buffer.map((byte) => byte ^ 0xff)), 0, length, at)
  } finally {
    await file.close()
  }
}
