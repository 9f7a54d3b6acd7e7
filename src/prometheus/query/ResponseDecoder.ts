/**
 * Decodes the response of `/api/v1/query_range` while it arrives: the grammar of a response.
 *
 * Only the structure is read token by token. Runs of samples are nearly all of the bytes. One plain loop (`SampleScanner`)
 * scans them, and leaves other forms to the cursor.
 */
import { Predicate, type Types } from "effect"
import type { Histogram, Labels, SampleBlock } from "../../samples/Sample.ts"
import { canonicalLabels, DecodedSeries, type SeriesCache } from "../../samples/Series.ts"
import { beginning, truncateText } from "../../text/excerpt.ts"
import { firstWarnings, isMissingName, memberSign } from "../completeness.ts"
import { BlockBuilder } from "./BlockBuilder.ts"
import { canonicalValue } from "./canonicalValue.ts"
import { type Coroutine, DecodeError, JsonCursor, MAX_TOKEN_BYTES } from "./JsonCursor.ts"
import { CLOSE_BRACKET, COMMA, INCOMPLETE, isNumber, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "./jsonBytes.ts"

/** The envelope around the samples. */
export interface Envelope {
  readonly status: string | undefined
  readonly errorType: string | undefined
  readonly error: string | undefined
  readonly warnings: ReadonlyArray<string>
  /** The members that say that data are missing. Only some servers report this. */
  readonly signs: ReadonlyArray<string>
  /** The result has no series. */
  readonly isEmpty: boolean
}

/** The longest labels of a series, in characters: every one of its records repeats them. */
const MAX_LABEL_CHARACTERS = 1024 * 1024

/** The longest part of a `[time,"value"]`, which is scanned again with every chunk until it is complete. */
const MAX_SAMPLE_BYTES = 4096

/** How much of an error is kept: a server may repeat a long query before it says what is wrong. */
const MAX_ERROR_CHARACTERS = 64 * 1024

/** More text than that is not parsed as labels: objects take several times the memory of their text. */
const MAX_LABELS_BYTES = 4 * 1024 * 1024

/** How many names of members are kept, and how many signs. */
const MAX_MEMBERS = 20

/**
 * Decodes one response: `push` every chunk, then `finish`. Both throw a `DecodeError`.
 *
 * Blocks point into the chunks, so the caller must not reuse them.
 */
export class ResponseDecoder extends JsonCursor {
  private readonly parser: Coroutine<void>
  private complete = false
  private failure: unknown

  private readonly blocks = new BlockBuilder()
  private readonly cache: SeriesCache | undefined
  private readonly excludedLabels: ReadonlySet<string>
  /** Bytes that have arrived while blocks wait for the labels of their series. */
  private waitingBytes = 0

  /** The names of members that are not part of every response: they tell servers apart. */
  readonly members = new Set<string>()
  private hasResult = false
  private readonly envelope: Types.Mutable<Envelope> = {
    status: undefined,
    errorType: undefined,
    error: undefined,
    warnings: [],
    signs: [],
    isEmpty: true
  }

  /** `cache` has the series of earlier responses to the same query. `excludedLabels` are removed from every series. */
  constructor(cache?: SeriesCache, excludedLabels: ReadonlySet<string> = new Set()) {
    super()
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
      if (this.complete && this.peek() !== INCOMPLETE) this.fail("bytes follow the end of the response")
    } catch (error) {
      this.failure = error
      throw error
    }
    return this.blocks.take()
  }

  /** To be called at the end of the body. Returns the envelope; throws if the body is cut short. */
  finish(): Envelope {
    if (this.failure !== undefined) throw this.failure
    if (!this.complete) throw new DecodeError("the response is cut short")
    this.blocks.finish()
    return this.envelope
  }

  // ---- structure ----------------------------------------------------------------------------------------

  private *response(): Coroutine<void> {
    const { envelope } = this
    yield* this.object(function* (this: ResponseDecoder, key) {
      if (key === "status" || key === "errorType" || key === "error") {
        envelope[key] = shortened(yield* this.json())
      } else if (key === "warnings") envelope.warnings = firstWarnings(yield* this.json())
      else if (key === "data") yield* this.data()
      else yield* this.other(key)
    })
    if (envelope.status === undefined) this.fail('the response has no "status"')
    if (envelope.status === "success" && !this.hasResult) this.fail('the response has no "result"')
  }

  /** A member that is not part of every envelope. */
  private *other(key: string): Coroutine<void> {
    const { envelope, members } = this
    if (members.size < MAX_MEMBERS) members.add(beginning(key, 100))
    if (envelope.signs.length < MAX_MEMBERS && isMissingName(key)) {
      envelope.signs = [...envelope.signs, ...memberSign(key, yield* this.json())]
    } else yield* this.skip()
  }

  private *data(): Coroutine<void> {
    if ((yield* this.byte()) !== OPEN_BRACE) return yield* this.skip()
    let type: unknown
    yield* this.object(function* (this: ResponseDecoder, key) {
      if (key === "resultType") type = yield* this.json()
      else if (key === "result") {
        this.hasResult = true
        yield* this.array(() => this.oneSeries())
      } else yield* this.other(key)
    })
    if (typeof type === "string" && type !== "matrix") {
      this.fail(`the result is a ${excerpt(type)}, not a matrix`)
    }
  }

  private *oneSeries(): Coroutine<void> {
    const series = new DecodedSeries()
    this.envelope.isEmpty = false
    this.blocks.begin(series)
    this.waitingBytes = 0
    yield* this.object(function* (this: ResponseDecoder, key) {
      if (key === "metric") {
        yield* this.byte()
        this.label(series, yield* this.token(MAX_LABELS_BYTES, this.failForLabels))
      } else if (key === "values") yield* this.floats()
      else if (key === "histograms") yield* this.histograms()
      else yield* this.skip()
    })
    if (!this.blocks.isLabelled) this.fail('a series has no "metric"')
  }

  private label(series: DecodedSeries, json: string): void {
    const { blocks, cache } = this
    if (blocks.isLabelled) this.fail('a series has "metric" twice')
    // Waiting blocks point to the new series.
    const known = blocks.hasWaiting ? undefined : cache?.get(json)
    if (known === undefined) {
      series.describe(this.labels(this.parse(json)), this.excludedLabels)
      if (json.length > MAX_LABEL_CHARACTERS) this.checkLength(series.labels)
      cache?.add(json, series, json.length)
    }
    blocks.label(known ?? series)
  }

  private checkLength(labels: Labels): void {
    const length = labels.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
    if (length <= MAX_LABEL_CHARACTERS) return
    const [longest, value] = labels.reduce((a, b) => (b[1].length > a[1].length ? b : a))
    const shown = labels.map(([name, value]) => `${excerpt(name)}="${truncateText(value, 40)}"`)
    throw new LongLabelsError(
      `the label ${excerpt(longest)} has ${value.length} characters in the series {${truncateText(shown.join(", "), 400)}}`
    )
  }

  private readonly failForLabels = (): never => {
    const start = excerpt(Buffer.from(this.bytes.subarray(this.position, this.position + 300)).toString())
    throw new LongLabelsError(
      `the labels of a series have more than ${MAX_LABELS_BYTES / 1024 ** 2} MiB; they begin with ${start}`
    )
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
    if (yield* this.emptyArray()) return
    for (;;) {
      const end = this.blocks.scan(this.bytes, this.position)
      this.position = this.blocks.position
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
    this.blocks.flush(this.bytes)
  }

  /** One sample in any form that JSON allows. */
  private *oneFloat(): Coroutine<void> {
    yield* this.expect(OPEN_BRACKET)
    const time = yield* this.time()
    yield* this.expect(COMMA)
    const isText = (yield* this.byte()) === QUOTE
    const token = yield* this.token(MAX_SAMPLE_BYTES)
    if (token === "") this.fail("a sample has no value")
    // Some servers write values as JSON numbers.
    const text = isText || isNumber(token) ? canonicalValue(isText ? this.parse(token) : token) : undefined
    if (text === undefined) return this.fail(`${excerpt(token)} is not the value of a sample`)
    yield* this.expect(CLOSE_BRACKET)
    // Its bytes may be gone by now, or were written with escapes: it gets a block and bytes of its own.
    this.blocks.flush(this.bytes)
    this.blocks.add({
      _tag: "TextBlock",
      series: this.blocks.series,
      length: 1,
      times: Float64Array.of(time),
      bytes: Buffer.from(text, "latin1"),
      starts: Uint32Array.of(0),
      ends: Uint32Array.of(text.length)
    })
  }

  protected override beforeMove(): void {
    this.blocks.flush(this.bytes)
  }

  protected override onChunk(chunk: Uint8Array): void {
    if (!this.blocks.hasWaiting) return
    this.waitingBytes += chunk.length
    if (this.waitingBytes > MAX_TOKEN_BYTES) {
      throw new LateLabelsError(`a series has no "metric" within ${MAX_TOKEN_BYTES / 1024 ** 2} MiB`)
    }
  }

  private *histograms(): Coroutine<void> {
    yield* this.array(function* (this: ResponseDecoder) {
      yield* this.expect(OPEN_BRACKET)
      const time = yield* this.time()
      yield* this.expect(COMMA)
      const histogram = this.histogram(yield* this.json())
      yield* this.expect(CLOSE_BRACKET)
      this.blocks.add({
        _tag: "HistogramBlock",
        series: this.blocks.series,
        length: 1,
        times: Float64Array.of(time),
        histograms: [histogram]
      })
    })
  }

  private histogram(json: unknown): Histogram {
    const wrong = (): never => this.fail("a native histogram does not have the shape count, sum, buckets")
    // Not from a JSON number, whose digits are lost when it is parsed.
    const number = (value: unknown): string => canonicalValue(value) ?? wrong()
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
}

/** A series has labels that are too long to be repeated in every record. The response is in order otherwise. */
export class LongLabelsError extends DecodeError {}

/** A series whose labels do not come before more samples than fit into memory. No server does that. */
export class LateLabelsError extends DecodeError {}

/** The beginning of a text, for a message. */
const excerpt = (text: string): string => text.slice(0, 100)

const shortened = (value: unknown): string | undefined =>
  typeof value === "string" ? beginning(value, MAX_ERROR_CHARACTERS) : undefined
