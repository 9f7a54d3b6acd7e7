/**
 * Decodes the answer of `/api/v1/query_range` while it arrives.
 *
 * The parser is a coroutine: it reads forward through the bytes it has and suspends where they end, so the
 * body is never held as a whole, wherever the network happens to cut it. Only structure is read token by
 * token; runs of samples, which are nearly all of the bytes, are scanned by one plain loop (`SampleScanner`)
 * that leaves whatever it does not recognise to the coroutine.
 *
 * Pure and synchronous, no Effect: it runs once per network chunk.
 */
import { Predicate } from "effect"
import { Arena } from "../../samples/Arena.ts"
import type {
  Histogram,
  HistogramBlock,
  Labels,
  SampleBlock,
  Series,
  TextBlock
} from "../../samples/Sample.ts"
import { canonicalLabels, DecodedSeries, type SeriesCache } from "../../samples/Series.ts"
import { beginning } from "../../text/excerpt.ts"
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  EXCESSIVE,
  INCOMPLETE,
  isNumber,
  isSpecial,
  NEWLINE,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  RETURN,
  SPACE,
  TAB,
  type ValueLimits,
  ValueScanner
} from "./jsonBytes.ts"
import { type ScanEnd, sampleScanner } from "./SampleScanner.ts"

/** The body is not what Prometheus answers: cut short, not JSON, or of another shape. */
export class DecodeError extends Error {
  override readonly name = "DecodeError"
}

/** What the envelope around the samples said. */
export interface Envelope {
  readonly status: string | undefined
  readonly errorType: string | undefined
  readonly error: string | undefined
  readonly warnings: ReadonlyArray<string>
  /** Parts of the data could not be had; only some servers tell. */
  readonly isPartial: boolean
}

/** A longer token than this is no answer of a sane server, and keeping it would cost memory without bound. */
const MAX_TOKEN_BYTES = 16 * 1024 * 1024

/** The same for the labels of a series: every one of its records repeats them. */
const MAX_LABELS_BYTES = 1024 * 1024

/** The same for the parts of a `[time,"value"]`, which is scanned anew with every chunk until it is whole. */
const MAX_SAMPLE_BYTES = 4096

/** What a value that is parsed may have: a native histogram has three levels, and a list for each bucket. */
const limits: ValueLimits = { depth: 32, containers: 100_000 }

/** The beginning of an error is kept: a server may repeat a long query before it says what is wrong. */
const MAX_ERROR_CHARACTERS = 64 * 1024

/** So many warnings of each kind are kept, and of each its beginning. */
const MAX_WARNINGS = 20

/** How much of a chunk is copied to read on from the one before it: more than a sample has. */
const SEAM_BYTES = 128

/** A parser that waits for the next chunk whenever it yields. */
type Coroutine<A> = Generator<undefined, A, Uint8Array>

// Invalid UTF-8 must not turn into other labels than the server has: two series could become one.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * Decodes one response: `push` every chunk, then `finish`. Both throw a `DecodeError`.
 *
 * A chunk is kept by the blocks that point into it, so it must not be reused by the caller.
 */
export class ResponseDecoder {
  private readonly parser: Coroutine<void>
  private complete = false
  private failure: unknown

  private bytes: Uint8Array = new Uint8Array(0)
  private position = 0
  private end = 0
  /** What `bytes` is a part of, if more can be appended to it: see `append`. */
  private room = this.bytes

  /** The chunk of which `bytes` has only the beginning, after `seamRest` bytes of the chunk before it. */
  private seamChunk: Uint8Array | undefined
  private seamRest = 0

  private ready: Array<SampleBlock> = []
  /** Blocks of a series whose `metric` has not been read yet. */
  private waiting: Array<SampleBlock> = []
  /** Bytes that have arrived since there are some. */
  private waitingBytes = 0

  private readonly cache: SeriesCache | undefined
  private readonly excludedLabels: ReadonlySet<string>
  private series: Series = new DecodedSeries()
  /** The present series, unless it is a known one. */
  private unlabelled = new DecodedSeries()
  private labelled = false

  private arena = Arena.first()
  private blockStart = 0
  private next = 0

  private hasResult = false
  private status: string | undefined
  private errorType: string | undefined
  private isPartial = false
  private error: string | undefined
  private warnings: ReadonlyArray<string> = []

  /** `cache`: where the series of earlier responses to the same query are. `excludedLabels`: labels that no series is to have. */
  constructor(cache?: SeriesCache, excludedLabels: ReadonlySet<string> = new Set()) {
    this.cache = cache
    this.excludedLabels = excludedLabels
    this.parser = this.response()
    this.parser.next()
  }

  /** Takes the next bytes of the body and returns the blocks that they completed. */
  push(chunk: Uint8Array): ReadonlyArray<SampleBlock> {
    if (this.failure !== undefined) throw this.failure
    if (chunk.length === 0) return []
    try {
      if (this.complete) this.read(chunk, 0)
      else {
        this.complete = this.parser.next(chunk).done === true
        if (this.complete) this.crossSeam()
      }
      if (this.complete && this.peek() !== INCOMPLETE) this.fail("bytes follow the end of the answer")
    } catch (error) {
      this.failure = error
      throw error
    }
    const blocks = this.ready
    this.ready = []
    return blocks
  }

  /** The body has ended. Answers what the envelope said, or fails where the body is cut short. */
  finish(): Envelope {
    if (this.failure !== undefined) throw this.failure
    if (!this.complete) throw new DecodeError("the answer is cut short")
    this.arena.retire()
    return {
      status: this.status,
      errorType: this.errorType,
      error: this.error,
      warnings: this.warnings,
      isPartial: this.isPartial
    }
  }

  // ---- structure ----------------------------------------------------------------------------------------

  private *response(): Coroutine<void> {
    yield* this.object(function* (this: ResponseDecoder, key) {
      switch (key) {
        case "status":
          this.status = shortened(yield* this.optionalString())
          return
        case "errorType":
          this.errorType = shortened(yield* this.optionalString())
          return
        case "error":
          this.error = shortened(yield* this.optionalString())
          return
        case "isPartial":
          this.isPartial = (yield* this.json()) === true
          return
        case "warnings":
          this.warnings = firstWarnings(yield* this.json())
          return
        case "data":
          yield* this.data()
          return
        default:
          yield* this.skip()
      }
    })
    if (this.status === undefined) this.fail('the answer has no "status"')
    if (this.status === "success" && !this.hasResult) this.fail('the answer has no "result"')
  }

  private *data(): Coroutine<void> {
    if ((yield* this.byte()) !== OPEN_BRACE) return yield* this.skip()
    let type: string | undefined
    yield* this.object(function* (this: ResponseDecoder, key) {
      switch (key) {
        case "resultType":
          type = yield* this.optionalString()
          return
        case "result":
          this.hasResult = true
          yield* this.array(() => this.oneSeries())
          return
        default:
          yield* this.skip()
      }
    })
    if (type !== undefined && type !== "matrix") this.fail(`the result is a ${excerpt(type)}, not a matrix`)
  }

  private *oneSeries(): Coroutine<void> {
    this.unlabelled = new DecodedSeries()
    this.series = this.unlabelled
    this.labelled = false
    yield* this.object(function* (this: ResponseDecoder, key) {
      switch (key) {
        case "metric":
          yield* this.byte()
          this.label(yield* this.token(MAX_LABELS_BYTES))
          return
        case "values":
          yield* this.floats()
          return
        case "histograms":
          yield* this.histograms()
          return
        default:
          yield* this.skip()
      }
    })
    if (!this.labelled) this.fail('a series has no "metric"')
  }

  private label(json: string): void {
    if (this.labelled) this.fail('a series has "metric" twice')
    this.labelled = true
    const known = this.cache?.get(json)
    if (known !== undefined && this.waiting.length === 0) {
      this.series = known
      return
    }
    this.unlabelled.describe(this.labels(this.parse(json)), this.excludedLabels)
    for (const block of this.waiting) this.ready.push(block)
    this.waiting = []
    this.waitingBytes = 0
    this.cache?.add(json, this.series)
  }

  private labels(metric: unknown): Labels {
    if (!Predicate.isObject(metric)) this.fail('"metric" is not an object')
    const labels: Array<readonly [string, string]> = []
    for (const [name, value] of Object.entries(metric)) {
      if (typeof value !== "string") this.fail(`the label ${excerpt(name)} is not a string`)
      if (!name.isWellFormed() || !value.isWellFormed()) this.fail("a label has half of a surrogate pair")
      labels.push([name, value])
    }
    return canonicalLabels(labels)
  }

  // ---- samples ------------------------------------------------------------------------------------------

  private *floats(): Coroutine<void> {
    if (yield* this.null()) return
    yield* this.expect(OPEN_BRACKET)
    if ((yield* this.byte()) === CLOSE_BRACKET) {
      this.position++
      return
    }
    for (;;) {
      const end = this.scanSamples()
      if (end === "list") break
      if (end === "form") {
        yield* this.oneFloat()
        const separator = yield* this.byte()
        this.position++
        if (separator === CLOSE_BRACKET) break
        if (separator !== COMMA) this.fail("a sample is not followed by a comma or the end of the list")
      } else {
        if (this.end - this.position > MAX_SAMPLE_BYTES) this.failForLength(MAX_SAMPLE_BYTES)
        yield* this.more()
      }
    }
    this.flush()
  }

  /** Reads samples of plain form as far as they are whole; all arenas that get full meanwhile become blocks. */
  private scanSamples(): ScanEnd {
    const scanner = sampleScanner()
    for (;;) {
      const end = scanner.scan(this.bytes, this.position, this.arena, this.next)
      this.position = scanner.position
      this.next = scanner.next
      if (end !== "arena") return end
      this.makeRoom()
    }
  }

  /** One sample in any form that JSON allows. */
  private *oneFloat(): Coroutine<void> {
    yield* this.expect(OPEN_BRACKET)
    const time = yield* this.time()
    yield* this.expect(COMMA)
    if ((yield* this.byte()) !== QUOTE) this.fail("the value of a sample is not a string")
    const token = yield* this.token(MAX_SAMPLE_BYTES)
    const text = this.parse(token)
    if (typeof text !== "string" || (!isNumber(text) && !isSpecial(text))) {
      this.fail(`${excerpt(token)} is not the value of a sample`)
    }
    yield* this.expect(CLOSE_BRACKET)
    // Its bytes may be gone by now, or were written with escapes: it gets a block and bytes of its own.
    this.flush()
    this.release({
      _tag: "TextBlock",
      series: this.series,
      length: 1,
      times: Float64Array.of(time),
      bytes: Buffer.from(text, "latin1"),
      starts: Uint32Array.of(0),
      ends: Uint32Array.of(text.length)
    })
  }

  /** Another arena, since this one is full. */
  private makeRoom(): void {
    this.flush()
    this.arena = this.arena.next()
    this.blockStart = 0
    this.next = 0
  }

  /** Ends the current block, if it has samples: its series ends, or its bytes are about to be replaced. */
  private flush(): void {
    const { arena, blockStart, next } = this
    if (blockStart === next) return
    arena.hold()
    const block: TextBlock = {
      _tag: "TextBlock",
      series: this.series,
      length: next - blockStart,
      times: arena.times.subarray(blockStart, next),
      bytes: this.bytes,
      starts: arena.starts.subarray(blockStart, next),
      ends: arena.ends.subarray(blockStart, next),
      arena
    }
    this.blockStart = next
    this.release(block)
  }

  private release(block: SampleBlock): void {
    if (this.labelled) this.ready.push(block)
    else this.waiting.push(block)
  }

  private *histograms(): Coroutine<void> {
    if (yield* this.null()) return
    yield* this.array(function* (this: ResponseDecoder) {
      yield* this.expect(OPEN_BRACKET)
      const time = yield* this.time()
      yield* this.expect(COMMA)
      const histogram = this.histogram(yield* this.json())
      yield* this.expect(CLOSE_BRACKET)
      const block: HistogramBlock = {
        _tag: "HistogramBlock",
        series: this.series,
        length: 1,
        times: Float64Array.of(time),
        histograms: [histogram]
      }
      this.release(block)
    })
  }

  private histogram(json: unknown): Histogram {
    const wrong = (): never => this.fail("a native histogram has another shape than count, sum, buckets")
    const number = (value: unknown): string =>
      typeof value === "string" && (isNumber(value) || isSpecial(value)) ? value : wrong()
    if (!Predicate.isObject(json)) return wrong()
    const { buckets: given, count, sum } = json
    const buckets = given ?? []
    if (!Array.isArray(buckets)) return wrong()
    return {
      count: number(count),
      sum: number(sum),
      buckets: buckets.map((bucket: unknown) => {
        if (!Array.isArray(bucket) || bucket.length !== 4 || ![0, 1, 2, 3].includes(bucket[0])) return wrong()
        return {
          boundaries: bucket[0],
          lower: number(bucket[1]),
          upper: number(bucket[2]),
          count: number(bucket[3])
        }
      })
    }
  }

  /** A timestamp in seconds, as milliseconds. */
  private *time(): Coroutine<number> {
    yield* this.byte()
    const token = yield* this.token(MAX_SAMPLE_BYTES)
    if (token === "") this.fail("a sample has no time")
    if (!isNumber(token)) this.fail(`${excerpt(token)} is not a time`)
    return Math.round(Number(token) * 1000)
  }

  // ---- JSON ---------------------------------------------------------------------------------------------

  /** Reads an object; `member` is called with each key and must read its value. */
  private *object(member: (this: this, key: string) => Coroutine<void>): Coroutine<void> {
    yield* this.expect(OPEN_BRACE)
    if ((yield* this.byte()) === CLOSE_BRACE) {
      this.position++
      return
    }
    for (;;) {
      if ((yield* this.byte()) !== QUOTE) this.fail("an object has a key that is not a string")
      const key = this.frequentKey() ?? (this.parse(yield* this.token()) as string)
      yield* this.expect(COLON)
      yield* member.call(this, key)
      const separator = yield* this.byte()
      this.position++
      if (separator === CLOSE_BRACE) return
      if (separator !== COMMA) this.fail("an object has something else than a comma between its members")
    }
  }

  /** Reads a key that each series has, if it is the next and whole. */
  private frequentKey(): string | undefined {
    for (const { bytes, key } of frequentKeys) {
      if (this.end - this.position < bytes.length) continue
      let i = 0
      while (i < bytes.length && this.bytes[this.position + i] === bytes[i]) i++
      if (i < bytes.length) continue
      this.position += i
      return key
    }
    return undefined
  }

  /** Reads an array, or `null` as an empty one; `element` must read one element. */
  private *array(element: (this: this) => Coroutine<void>): Coroutine<void> {
    if (yield* this.null()) return
    yield* this.expect(OPEN_BRACKET)
    if ((yield* this.byte()) === CLOSE_BRACKET) {
      this.position++
      return
    }
    for (;;) {
      yield* element.call(this)
      const separator = yield* this.byte()
      this.position++
      if (separator === CLOSE_BRACKET) return
      if (separator !== COMMA) this.fail("an array has something else than a comma between its elements")
    }
  }

  /** True if the next value is `null` (which it then has read). */
  private *null(): Coroutine<boolean> {
    if ((yield* this.byte()) !== 0x6e) return false
    if ((yield* this.token()) !== "null") this.fail("a value is not JSON")
    return true
  }

  private *optionalString(): Coroutine<string | undefined> {
    const value = yield* this.json()
    return typeof value === "string" ? value : undefined
  }

  /** Reads any value whole. Only for parts that are small: labels, a histogram, warnings. */
  private *json(): Coroutine<unknown> {
    yield* this.byte()
    return this.parse(yield* this.token())
  }

  private parse(token: string): unknown {
    try {
      return JSON.parse(token)
    } catch {
      return this.fail("a value is not JSON")
    }
  }

  /** The text of the value that starts at the current byte. */
  private *token(limit = MAX_TOKEN_BYTES): Coroutine<string> {
    const scanner = new ValueScanner(limits)
    let scanned = 0
    for (;;) {
      const stop = scanner.scan(this.bytes, this.position + scanned, this.end)
      if (stop === EXCESSIVE)
        this.fail("a single value has too many objects or lists, or too many levels of them")
      if ((stop === INCOMPLETE ? this.end : stop) - this.position > limit) this.failForLength(limit)
      if (stop !== INCOMPLETE) {
        const start = this.position
        this.position = stop
        try {
          return utf8.decode(this.bytes.subarray(start, stop))
        } catch {
          this.fail("a text is not UTF-8")
        }
      }
      scanned = this.end - this.position
      yield* this.more()
    }
  }

  /** Passes over a value that we do not need, without keeping it. */
  private *skip(): Coroutine<void> {
    const first = yield* this.byte()
    if (first === CLOSE_BRACE || first === CLOSE_BRACKET || first === COMMA) this.fail("a value is missing")
    const scanner = new ValueScanner()
    for (;;) {
      const stop = scanner.scan(this.bytes, this.position, this.end)
      if (stop !== INCOMPLETE) {
        this.position = stop
        return
      }
      this.position = this.end
      yield* this.more()
    }
  }

  private *expect(byte: number): Coroutine<void> {
    const found = yield* this.byte()
    if (found !== byte) {
      this.fail(
        `expected ${String.fromCharCode(byte)} and found ${JSON.stringify(String.fromCharCode(found))}`
      )
    }
    this.position++
  }

  /** The next byte that is not white space; it stays unread. */
  private *byte(): Coroutine<number> {
    for (;;) {
      const byte = this.peek()
      if (byte !== INCOMPLETE) return byte
      yield* this.more()
    }
  }

  private peek(): number {
    while (this.position < this.end) {
      const byte = this.bytes[this.position]!
      if (byte !== SPACE && byte !== NEWLINE && byte !== RETURN && byte !== TAB) return byte
      this.position++
    }
    return INCOMPLETE
  }

  /** Goes on to more bytes, those of the next chunk once all are read; what is not yet read stays in front. */
  private *more(): Coroutine<void> {
    this.flush()
    if (this.crossSeam()) return
    const rest = this.bytes.subarray(this.position, this.end)
    const chunk = yield
    if (this.waiting.length > 0) {
      this.waitingBytes += chunk.length
      if (this.waitingBytes > MAX_TOKEN_BYTES) this.fail('the "metric" of a series does not come')
    }
    if (rest.length === 0) this.read(chunk, 0)
    else if (chunk.length <= SEAM_BYTES || chunk.length < rest.length) this.append(rest, chunk)
    else {
      // What spans two chunks is nearly always short: then the chunk itself is not copied.
      this.read(join(rest, chunk.subarray(0, SEAM_BYTES)), 0)
      this.seamChunk = chunk
      this.seamRest = rest.length
    }
  }

  /** From a seam to the chunk that it begins, if the present bytes are a seam. */
  private crossSeam(): boolean {
    const chunk = this.seamChunk
    if (chunk === undefined) return false
    const position = this.position - this.seamRest
    this.read(
      position >= 0 ? chunk : join(this.bytes.subarray(this.position, this.seamRest), chunk),
      Math.max(0, position)
    )
    this.seamChunk = undefined
    return true
  }

  /**
   * Reads on with a chunk behind what is left of the bytes before it. That may be much, where a long value comes in small
   * chunks: so there is room for as much again, and it is not copied each time. Bytes that blocks point to stay as they are.
   */
  private append(rest: Uint8Array, chunk: Uint8Array): void {
    const length = rest.length + chunk.length
    let from = rest.byteOffset
    if (rest.buffer !== this.room.buffer || from + length > this.room.length) {
      this.room = new Uint8Array(2 * length)
      this.room.set(rest)
      from = 0
    }
    this.room.set(chunk, from + rest.length)
    this.read(this.room.subarray(from, from + length), 0)
  }

  private read(bytes: Uint8Array, position: number): void {
    this.bytes = bytes
    this.position = position
    this.end = bytes.length
  }

  private failForLength(limit: number): never {
    return this.fail(`a single value is longer than ${limit / 1024} KiB`)
  }

  private fail(what: string): never {
    throw new DecodeError(what)
  }
}

const frequentKeys = ["metric", "values"].map((key) => ({ key, bytes: Buffer.from(`"${key}"`) }))

const join = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const joined = new Uint8Array(first.length + second.length)
  joined.set(first)
  joined.set(second, first.length)
  return joined
}

/** The beginning of a text, for a message. */
const excerpt = (text: string): string => text.slice(0, 100)

const shortened = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : beginning(text, MAX_ERROR_CHARACTERS)

/** Whether a warning is about the query rather than about the data that it reads. */
export const isAboutQuery = (warning: string): boolean => warning.startsWith("PromQL ")

/** The first warnings of each kind: many about the query must not hide the one that says that data is missing. */
const firstWarnings = (value: unknown): ReadonlyArray<string> => {
  const warnings = Array.isArray(value) ? value.filter((item) => typeof item === "string") : []
  let aboutQuery = 0
  let aboutData = 0
  return warnings
    .filter((warning) => (isAboutQuery(warning) ? ++aboutQuery : ++aboutData) <= MAX_WARNINGS)
    .map((warning) => beginning(warning))
}
