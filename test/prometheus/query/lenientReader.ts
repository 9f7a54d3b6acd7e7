/**
 * A slow reader of responses to range queries that may be broken: it reads them up to the break.
 *
 * Unlike `referenceDecode`, it reads responses that are not complete JSON, and reads every occurrence of a repeated member. For
 * any bytes, a decoder may emit only what this reader finds.
 */
import { isMissingName, memberSign } from "../../../src/prometheus/completeness.ts"
import type { Envelope } from "../../../src/prometheus/query/ResponseDecoder.ts"
import type { Histogram, Labels } from "../../../src/samples/Sample.ts"
import type { PlainSample } from "./referenceDecoder.ts"

/** The content of a response. */
export interface LenientReading {
  /** The samples before the break, in order. */
  readonly samples: ReadonlyArray<PlainSample>
  /** For each sample: the offset of its end, and of the end of its labels. */
  readonly ends: ReadonlyArray<number>
  /** The envelope, or why there is none. */
  readonly outcome: Envelope | string
  /** Whether an object has a member twice: `JSON.parse` would keep one of them. */
  readonly hasTwins: boolean
}

class Break extends Error {}

const STRING = /"(?:[^"\\\0-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const WORD = /true|false|null/y
const SPACE = /[ \n\r\t]*/y
/** The tokens of a skipped value: complete strings, brackets, and the rest. */
const PIECE = /"(?:[^"\\]|\\.)*"|[[{]|[\]}]|[, \n\r\t]|[^"[{\]}, \n\r\t]+/sy

const numberText = (text: string): string | undefined => {
  if (/^[+-]?nan$/i.test(text)) return "NaN"
  if (/^[+-]?inf(inity)?$/i.test(text)) return text.startsWith("-") ? "-Inf" : "+Inf"
  return new RegExp(`^(?:${NUMBER.source})$`).test(text) ? text : undefined
}

class Reader {
  readonly samples: Array<PlainSample> = []
  readonly ends: Array<number> = []
  hasTwins = false
  /** One character per byte: only strings may contain more than ASCII. */
  private readonly text: string
  private readonly bytes: Uint8Array
  private at = 0
  private seriesCount = 0
  private isEmpty = true
  private readonly signs: Array<string> = []

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.text = Buffer.from(bytes).toString("latin1")
  }

  envelope(): Envelope {
    const content: Record<string, unknown> = {}
    let hasResult = false
    this.object((key) => {
      if (key === "data") {
        if (this.next() !== "{") return this.skip()
        let type: unknown
        this.object((key) => {
          if (key === "resultType") type = this.json() ?? type
          else if (key === "result") {
            hasResult = true
            this.list(() => this.series())
          } else this.other(key)
        })
        if (typeof type === "string" && type !== "matrix") throw new Break("not a matrix")
      } else if (["status", "errorType", "error", "warnings"].includes(key)) {
        content[key] = this.json()
      } else this.other(key)
    })
    const text = (key: string): string | undefined =>
      typeof content[key] === "string" ? (content[key] as string) : undefined
    if (text("status") === undefined) throw new Break("no status")
    if (text("status") === "success" && !hasResult) throw new Break("no result")
    if (this.next() !== "") throw new Break("bytes follow")
    return {
      status: text("status"),
      errorType: text("errorType"),
      error: text("error"),
      signs: this.signs,
      isEmpty: this.isEmpty,
      warnings: [content.warnings]
        .flat()
        .filter((item) => typeof item === "string" && item !== "") as Array<string>
    }
  }

  /** A member that is not part of every response. */
  private other(key: string): void {
    if (isMissingName(key)) this.signs.push(...memberSign(key, this.json()))
    else this.skip()
  }

  private series(): void {
    this.isEmpty = false
    const before = this.samples.length
    const index = this.seriesCount
    let labels: Labels | undefined
    /** Samples that come before the labels. */
    const early: Array<Omit<PlainSample, "labels">> = []
    const add = (time: number, value: string | Histogram): void => {
      if (labels === undefined) early.push({ series: index, time, value })
      else {
        this.samples.push({ series: index, labels, time, value })
        this.ends.push(this.at)
      }
    }
    try {
      this.object((key) => {
        if (key === "metric") {
          if (labels !== undefined) throw new Break("labels twice")
          labels = labelsOf(this.json())
          for (const sample of early) {
            this.samples.push({ ...sample, labels })
            this.ends.push(this.at)
          }
        } else if (key === "values") {
          this.list(() => {
            const time = this.time()
            const text = this.next() === '"' ? this.string() : this.match(NUMBER)
            const value = numberText(text)
            if (value === undefined) throw new Break("no value")
            this.expect("]")
            add(time, value)
          })
        } else if (key === "histograms") {
          this.list(() => {
            const time = this.time()
            const histogram = histogramOf(this.json())
            this.expect("]")
            add(time, histogram)
          })
        } else this.skip()
      })
    } finally {
      if (this.samples.length > before) this.seriesCount++
    }
    if (labels === undefined) throw new Break("no labels")
  }

  private time(): number {
    this.expect("[")
    this.next()
    const time = Math.round(Number(this.match(NUMBER)) * 1000)
    this.expect(",")
    return time
  }

  /** Reads an object; `member` reads the value of each key. */
  private object(member: (key: string) => void): void {
    this.expect("{")
    if (this.next() === "}") {
      this.at++
      return
    }
    const keys = new Set<string>()
    for (;;) {
      this.next()
      const key = this.string()
      if (keys.has(key)) this.hasTwins = true
      keys.add(key)
      this.expect(":")
      member(key)
      if (this.next() !== ",") break
      this.at++
    }
    this.expect("}")
  }

  /** Reads a list, or `null` as none. */
  private list(item: () => void): void {
    if (this.next() === "n") {
      if (this.json() !== null) throw new Break("no list")
      return
    }
    this.expect("[")
    if (this.next() === "]") {
      this.at++
      return
    }
    for (;;) {
      item()
      if (this.next() !== ",") break
      this.at++
    }
    this.expect("]")
  }

  /** A value that must be JSON. */
  json(): unknown {
    switch (this.next()) {
      case "{": {
        const out: Record<string, unknown> = Object.create(null)
        this.object((key) => {
          out[key] = this.json()
        })
        return out
      }
      case "[": {
        const out: Array<unknown> = []
        this.list(() => out.push(this.json()))
        return out
      }
      case '"':
        return this.string()
      case "t":
      case "f":
      case "n":
        return JSON.parse(this.match(WORD))
      default:
        return Number(this.match(NUMBER))
    }
  }

  private string(): string {
    const from = this.at
    this.match(STRING)
    try {
      const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      return JSON.parse(utf8.decode(this.bytes.subarray(from, this.at)))
    } catch {
      throw new Break("no text")
    }
  }

  /** Skips a value; only its end must be found. */
  private skip(): void {
    if (["", ",", "}", "]"].includes(this.next())) throw new Break("no value")
    let depth = 0
    let isScalar = false
    for (;;) {
      PIECE.lastIndex = this.at
      const piece = PIECE.exec(this.text)?.[0]
      if (piece === undefined) throw new Break("cut short")
      if (/^[[{]/.test(piece)) depth++
      else if (/^[\]}]/.test(piece)) {
        if (depth === 0) return
        depth--
      } else if (/^[, \n\r\t]/.test(piece)) {
        if (depth === 0 && isScalar) return
        this.at += piece.length
        continue
      } else if (!piece.startsWith('"')) {
        isScalar = true
        this.at += piece.length
        continue
      }
      this.at += piece.length
      if (depth === 0 && !/^[[{]/.test(piece)) return
    }
  }

  private expect(character: string): void {
    if (this.next() !== character) throw new Break(`no ${character}`)
    this.at++
  }

  /** The next character that is not white space; empty at the end. */
  private next(): string {
    this.match(SPACE)
    return this.text.charAt(this.at)
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)?.[0]
    if (found === undefined) throw new Break("not JSON")
    this.at += found.length
    return found
  }
}

const labelsOf = (metric: unknown): Labels => {
  if (typeof metric !== "object" || metric === null || Array.isArray(metric)) throw new Break("no labels")
  return Object.entries(metric)
    .map(([name, value]) => {
      if (typeof value !== "string") throw new Break("a label that is no text")
      if (!name.isWellFormed() || !value.isWellFormed()) throw new Break("half of a surrogate pair")
      return [name, value] as const
    })
    .filter(([, value]) => value !== "")
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

const no = (what: string): never => {
  throw new Break(`no ${what}`)
}

const histogramOf = (json: unknown): Histogram => {
  const number = (value: unknown): string =>
    (typeof value === "string" ? numberText(value) : undefined) ?? no("number")
  if (typeof json !== "object" || json === null) throw new Break("no histogram")
  const { buckets, count, sum } = json as Record<string, unknown>
  if (!Array.isArray(buckets ?? [])) throw new Break("no buckets")
  return {
    count: number(count),
    sum: number(sum),
    buckets: ((buckets ?? []) as Array<unknown>).map((bucket) => {
      if (!Array.isArray(bucket) || bucket.length !== 4 || ![0, 1, 2, 3].includes(bucket[0])) {
        throw new Break("no bucket")
      }
      const [boundaries, lower, upper, count] = bucket
      return { boundaries, lower: number(lower), upper: number(upper), count: number(count) }
    })
  }
}

const hasTwins = (bytes: Uint8Array): boolean => {
  const reader = new Reader(bytes)
  try {
    reader.json()
  } catch (error) {
    if (!(error instanceof Break)) throw error
  }
  return reader.hasTwins
}

/** Reads any bytes. */
export const lenientRead = (bytes: Uint8Array): LenientReading => {
  const reader = new Reader(bytes)
  let outcome: Envelope | string
  try {
    outcome = reader.envelope()
  } catch (error) {
    if (!(error instanceof Break)) throw error
    outcome = error.message
  }
  return { samples: reader.samples, ends: reader.ends, outcome, hasTwins: hasTwins(bytes) }
}
