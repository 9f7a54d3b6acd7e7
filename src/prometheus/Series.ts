/** Labels in their canonical order, and the identity of a series that follows from them. */
import { createHash } from "node:crypto"
import type { Labels, Series } from "./Sample.ts"

/** The label that holds a metric's name. */
export const METRIC_NAME = "__name__"

// Comparing UTF-16 code units is the order of the UTF-8 bytes except where surrogates are involved.
const byBytes = (a: string, b: string): number => {
  const plain = a < b ? -1 : a > b ? 1 : 0
  return /[\ud800-\uffff]/.test(a + b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : plain
}

/** Sorts labels by the bytes of their names, as Prometheus does, and drops empty ones: those are absent. */
export const canonicalLabels = (labels: Iterable<readonly [name: string, value: string]>): Labels =>
  Array.from(labels)
    .filter(([, value]) => value !== "")
    .sort(([a], [b]) => byBytes(a, b))

// Never part of valid UTF-8, so no label can contain it; Prometheus separates with it for its own hashes.
const SEPARATOR = Uint8Array.of(0xff)

/**
 * The stable identity of a series: 32 hex digits, the first 128 bits of SHA-256 over its canonical labels.
 *
 * The hashed bytes are, for each label in order: name, 0xFF, value, 0xFF, both in UTF-8.
 */
export const seriesId = (labels: Labels): string => {
  const hash = createHash("sha256")
  for (const [name, value] of labels) {
    hash.update(name).update(SEPARATOR).update(value).update(SEPARATOR)
  }
  return hash.digest("hex").slice(0, 32)
}

/** A series whose labels may become known after its first samples, and whose identity is hashed when asked for. */
export class DecodedSeries implements Series {
  labels: Labels = []
  private hashed: string | undefined

  get id(): string {
    this.hashed ??= seriesId(this.labels)
    return this.hashed
  }
}
