/**
 * Decodes the response of `/api/v1/query_range` while it arrives: the grammar of a response.
 *
 * Only the structure is read token by token. Runs of samples are nearly all of the bytes. One plain loop (`SampleScanner`)
 * scans them, and leaves other forms to the cursor.
 */
import { Predicate, type Types } from "effect"
import type { Histogram, Labels, SampleBlock } from "../../samples/Sample.ts"
import { canonicalLabels, DecodedSeries, type SeriesCache } from "../../samples/Series.ts"
import { beginning } from "../../text/excerpt.ts"
import { BlockBuilder } from "./BlockBuilder.ts"
import { type Coroutine, DecodeError, JsonCursor, MAX_TOKEN_BYTES } from "./JsonCursor.ts"
import {
  CLOSE_BRACKET,
  COMMA,
  INCOMPLETE,
  isNumber,
  isSpecial,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE
} from "./jsonBytes.ts"

/** The envelope around the samples. */
export interface Envelope {
  readonly status: string | undefined
  readonly errorType: string | undefined
  readonly error: string | undefined
  readonly warnings: ReadonlyArray<string>
  /** Parts of the data are missing. Only some servers report this. */
  readonly isPartial: boolean
}

/** The longest labels of a series: every one of its records repeats them. */
const MAX_LABELS_BYTES = 1024 * 1024

/** The longest part of a `[time,"value"]`, which is scanned again with every chunk until it is complete. */
const MAX_SAMPLE_BYTES = 4096

/** How much of an error is kept: a server may repeat a long query before it says what is wrong. */
const MAX_ERROR_CHARACTERS = 64 * 1024

/** How many warnings of each kind are kept, each shortened. */
const MAX_WARNINGS = 20

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

  private hasResult = false
  private readonly envelope: Types.Mutable<Envelope> = {
    status: undefined,
    errorType: undefined,
    error: undefined,
    warnings: [],
    isPartial: false
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
      } else if (key === "isPartial") envelope.isPartial = (yield* this.json()) === true
      else if (key === "warnings") envelope.warnings = firstWarnings(yield* this.json())
      else if (key === "data") yield* this.data()
      else yield* this.skip()
    })
    if (envelope.status === undefined) this.fail('the response has no "status"')
    if (envelope.status === "success" && !this.hasResult) this.fail('the response has no "result"')
  }

  private *data(): Coroutine<void> {
    if ((yield* this.byte()) !== OPEN_BRACE) return yield* this.skip()
    let type: unknown
    yield* this.object(function* (this: ResponseDecoder, key) {
      if (key === "resultType") type = yield* this.json()
      else if (key === "result") {
        this.hasResult = true
        yield* this.array(() => this.oneSeries())
      } else yield* this.skip()
    })
    if (typeof type === "string" && type !== "matrix") {
      this.fail(`the result is a ${excerpt(type)}, not a matrix`)
    }
  }

  private *oneSeries(): Coroutine<void> {
    const series = new DecodedSeries()
    this.blocks.begin(series)
    this.waitingBytes = 0
    yield* this.object(function* (this: ResponseDecoder, key) {
      if (key === "metric") {
        yield* this.byte()
        this.label(series, yield* this.token(MAX_LABELS_BYTES))
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
      cache?.add(json, series, json.length)
    }
    blocks.label(known ?? series)
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
    if ((yield* this.byte()) !== QUOTE) this.fail("the value of a sample is not a string")
    const token = yield* this.token(MAX_SAMPLE_BYTES)
    const text = this.parse(token)
    if (typeof text !== "string" || (!isNumber(text) && !isSpecial(text))) {
      this.fail(`${excerpt(token)} is not the value of a sample`)
    }
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
    if (this.waitingBytes > MAX_TOKEN_BYTES)
      this.fail(`a series has no "metric" within ${MAX_TOKEN_BYTES / 1024 ** 2} MiB`)
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
}

/** The beginning of a text, for a message. */
const excerpt = (text: string): string => text.slice(0, 100)

const shortened = (value: unknown): string | undefined =>
  typeof value === "string" ? beginning(value, MAX_ERROR_CHARACTERS) : undefined

/** Whether a warning is about the query rather than about the data that it reads. */
export const isAboutQuery = (warning: string): boolean => warning.startsWith("PromQL ")

/** The first warnings of each kind: many about the query must not hide one about missing data. */
const firstWarnings = (value: unknown): ReadonlyArray<string> => {
  const warnings = Array.isArray(value) ? value.filter((item) => typeof item === "string") : []
  let aboutQuery = 0
  let aboutData = 0
  return warnings
    .filter((warning) => (isAboutQuery(warning) ? ++aboutQuery : ++aboutData) <= MAX_WARNINGS)
    .map((warning) => beginning(warning))
}
