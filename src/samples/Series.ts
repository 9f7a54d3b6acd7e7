/** Labels in canonical order, and the identity of a series that is derived from them. */
import { hash } from "node:crypto"
import type { Labels, Series } from "./Sample.ts"

/** The label that holds a metric's name. */
export const METRIC_NAME = "__name__"

const hasSurrogates = /[\ud800-\uffff]/

/** Compares by UTF-8 bytes. The order of UTF-16 code units is the same except for surrogates. */
export const byBytes = (a: string, b: string): number => {
  const plain = a < b ? -1 : a > b ? 1 : 0
  return hasSurrogates.test(a + b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : plain
}

/** Sorts labels by the bytes of their names, as Prometheus does, and drops empty ones, which count as missing. */
export const canonicalLabels = (labels: Iterable<readonly [name: string, value: string]>): Labels => {
  const present: Array<readonly [name: string, value: string]> = []
  // Servers usually sort them already.
  let isSorted = true
  let before = ""
  for (const label of labels) {
    if (label[1] === "") continue
    const [name] = label
    isSorted &&= before <= name && !hasSurrogates.test(name)
    before = name
    present.push(label)
  }
  return isSorted ? present : present.sort(([a], [b]) => byBytes(a, b))
}

// Not valid in UTF-8, so no label can contain it. Prometheus uses it as a separator in its own hashes.
const SEPARATOR = 0xff

/** Large enough for most label sets. Hashing is synchronous, so one buffer is enough. */
const scratch = Buffer.allocUnsafeSlow(4096)

/**
 * The stable identity of a series: 32 hex digits, the first 128 bits of SHA-256 over its canonical labels.
 *
 * The hashed bytes are, for each label in order: name, 0xFF, value, 0xFF, both in UTF-8.
 */
export const seriesId = (labels: Labels): string => {
  // A code unit takes at most three bytes of UTF-8, and one byte in most labels.
  const room = labels.reduce((sum, [name, value]) => sum + 3 * (name.length + value.length) + 2, 0)
  const bytes = room <= scratch.length ? scratch : Buffer.allocUnsafeSlow(room)
  let length = 0
  for (const label of labels) {
    for (const text of label) {
      length += bytes.write(text, length)
      bytes[length++] = SEPARATOR
    }
  }
  // Not a slice of all hex digits, which would keep the complete string in memory.
  return hash("sha256", bytes.subarray(0, length), "buffer").toString("hex", 0, 16)
}

/** A series whose labels may arrive after its first samples, and whose identity is hashed on demand. */
export class DecodedSeries implements Series {
  labels: Labels = []
  private hashed: string | undefined

  /**
   * Sets its labels, all of them in canonical order. Excluded labels are dropped here, but the identity includes them:
   * otherwise several series of the server could become one.
   */
  describe(all: Labels, excluded: ReadonlySet<string>): void {
    this.labels = excluded.size === 0 ? all : all.filter(([name]) => !excluded.has(name))
    if (this.labels.length < all.length) this.hashed = seriesId(all)
  }

  get id(): string {
    this.hashed ??= seriesId(this.labels)
    return this.hashed
  }
}

/** The most series of a stream that are cached with their derived data: a kilobyte or two each. */
export const MAX_KNOWN_SERIES = 1000

/** The most characters or bytes of their labels in total. */
const MAX_KNOWN_BYTES = 4 * 1024 * 1024

/**
 * Series, by the bytes of their labels, or other data of the series of a stream. The windows of a query have the same series,
 * so they are parsed, hashed and rendered once.
 */
export class SeriesCache<Key = string, Value = Series> {
  private readonly known = new Map<Key, Value>()
  private length = 0

  get(key: Key): Value | undefined {
    return this.known.get(key)
  }

  /** Adds a value of a length in characters or bytes, unless the cache is full. */
  add(key: Key, value: Value, length: number): void {
    if (this.known.size === MAX_KNOWN_SERIES || this.length + length > MAX_KNOWN_BYTES) return
    this.known.set(key, value)
    this.length += length
  }
}
