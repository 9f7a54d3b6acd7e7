/**
 * A cursor over JSON that arrives in chunks: a coroutine reads forward through the bytes it has, and suspends where they end.
 * So the complete body is never in memory, wherever the network splits it.
 *
 * Pure and synchronous, no Effect: it runs once per network chunk.
 */
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  EXCESSIVE,
  INCOMPLETE,
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

/** The body is not a response of Prometheus: cut short, not JSON, or of another shape. */
export class DecodeError extends Error {
  override readonly name = "DecodeError"
}

/** The longest token, so that memory is bounded. */
export const MAX_TOKEN_BYTES = 16 * 1024 * 1024

/** The limits of a value that is parsed. A native histogram has three levels, and a list for each bucket. */
const limits: ValueLimits = { depth: 32, containers: 100_000 }

/** How much of a chunk is copied to continue from the previous one: longer than a sample. */
const SEAM_BYTES = 128

/** A parser that waits for the next chunk whenever it yields. */
export type Coroutine<A> = Generator<undefined, A, Uint8Array>

// Invalid UTF-8 must fail: with replacement characters, two series could become one.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Reads JSON. Values may point into a chunk, so the caller must not reuse it. */
export abstract class JsonCursor {
  protected bytes: Uint8Array = new Uint8Array(0)
  protected position = 0
  protected end = 0
  /** The buffer of `bytes`, if more can be appended to it: see `append`. */
  private room = this.bytes

  /** The current chunk, while `bytes` has `seamRest` bytes of the previous chunk and only the start of this one. */
  private seamChunk: Uint8Array | undefined
  private seamRest = 0

  /** The cursor is about to leave the current bytes. */
  protected abstract beforeMove(): void

  /** A chunk has arrived. */
  protected abstract onChunk(chunk: Uint8Array): void

  /** Reads an object; `member` is called with each key and must read its value. */
  protected *object(member: (this: this, key: string) => Coroutine<void>): Coroutine<void> {
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
      if (separator !== COMMA) this.fail("an object has something other than a comma between its members")
    }
  }

  /** Reads a key that each series has, if it is next and complete. */
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
  protected *array(element: (this: this) => Coroutine<void>): Coroutine<void> {
    if (yield* this.emptyArray()) return
    for (;;) {
      yield* element.call(this)
      const separator = yield* this.byte()
      this.position++
      if (separator === CLOSE_BRACKET) return
      if (separator !== COMMA) this.fail("an array has something other than a comma between its elements")
    }
  }

  /** Reads the start of an array, and returns whether it is empty: then it has been read, or a `null` in its place. */
  protected *emptyArray(): Coroutine<boolean> {
    const isNull = (yield* this.byte()) === 0x6e
    if (isNull && (yield* this.token()) !== "null") this.fail("a value is not JSON")
    if (isNull) return true
    yield* this.expect(OPEN_BRACKET)
    const isEmpty = (yield* this.byte()) === CLOSE_BRACKET
    if (isEmpty) this.position++
    return isEmpty
  }

  /** Reads any value at once. Only for small parts: labels, a histogram, warnings. */
  protected *json(): Coroutine<unknown> {
    yield* this.byte()
    return this.parse(yield* this.token())
  }

  protected parse(token: string): unknown {
    try {
      return JSON.parse(token)
    } catch {
      return this.fail("a value is not JSON")
    }
  }

  /** The text of the value that starts at the current byte. */
  protected *token(limit = MAX_TOKEN_BYTES, onLong?: () => never): Coroutine<string> {
    const scanner = new ValueScanner(limits)
    let scanned = 0
    for (;;) {
      const stop = scanner.scan(this.bytes, this.position + scanned, this.end)
      if (stop === EXCESSIVE)
        this.fail("a single value has too many objects or lists, or too many levels of them")
      if ((stop === INCOMPLETE ? this.end : stop) - this.position > limit) {
        return onLong === undefined ? this.failForLength(limit) : onLong()
      }
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

  /** Skips a value. */
  protected *skip(): Coroutine<void> {
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

  protected *expect(byte: number): Coroutine<void> {
    const found = yield* this.byte()
    if (found !== byte) {
      this.fail(
        `expected ${String.fromCharCode(byte)} and found ${JSON.stringify(String.fromCharCode(found))}`
      )
    }
    this.position++
  }

  /** The next byte that is not white space; it stays unread. */
  protected *byte(): Coroutine<number> {
    for (;;) {
      const byte = this.peek()
      if (byte !== INCOMPLETE) return byte
      yield* this.more()
    }
  }

  protected peek(): number {
    while (this.position < this.end) {
      const byte = this.bytes[this.position]!
      if (byte !== SPACE && byte !== NEWLINE && byte !== RETURN && byte !== TAB) return byte
      this.position++
    }
    return INCOMPLETE
  }

  /** Continues with more bytes, from the next chunk if all are read. Unread bytes stay in front. */
  protected *more(): Coroutine<void> {
    this.beforeMove()
    if (this.crossSeam()) return
    const rest = this.bytes.subarray(this.position, this.end)
    const chunk = yield
    this.onChunk(chunk)
    if (rest.length === 0) this.read(chunk, 0)
    else if (chunk.length <= SEAM_BYTES || chunk.length < rest.length) this.append(rest, chunk)
    else {
      // A value that spans two chunks is nearly always short: then the chunk itself is not copied.
      this.read(join(rest, chunk.subarray(0, SEAM_BYTES)), 0)
      this.seamChunk = chunk
      this.seamRest = rest.length
    }
  }

  /** Moves from a seam to the chunk that it starts, if the current bytes are a seam. */
  protected crossSeam(): boolean {
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
   * Appends a chunk to the unread bytes. A long value may come in many small chunks, so the buffer has room to double and is
   * not copied each time. Bytes that blocks point to do not change.
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

  protected read(bytes: Uint8Array, position: number): void {
    this.bytes = bytes
    this.position = position
    this.end = bytes.length
  }

  protected failForLength(limit: number): never {
    return this.fail(`a single value is longer than ${limit / 1024} KiB`)
  }

  protected fail(what: string): never {
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
