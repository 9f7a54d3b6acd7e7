/**
 * Stale markers: what Prometheus stores where a series ends, or where its target disappears. They are no samples. Blocks have
 * them only if a query asks for them.
 */
import type { Histogram, NumberBlock } from "../../samples/Sample.ts"
import { HIGH, isStale } from "./BitReader.ts"

/** Stands for the stale marker of a native histogram in a block. It is recognised by its identity. */
export const staleHistogram: Histogram = Object.freeze({ count: "0", sum: "NaN", buckets: Object.freeze([]) })

/** The halves of the values of a block: a stale marker is a NaN with bits of its own, which a number may lose. */
export const wordsOf = ({ length, values }: NumberBlock): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, 2 * length)

/** Whether the value at an index is a stale marker, by its halves. */
export const isStaleAt = (words: Uint32Array, index: number): boolean =>
  isStale(words[2 * index + HIGH]!, words[2 * index + 1 - HIGH]!)
