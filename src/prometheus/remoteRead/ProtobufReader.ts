/** Reads the fields of a protobuf message in bytes. Unknown fields are skipped. */
import { floatFromBits, isStale } from "./BitReader.ts"
import { damaged } from "./RemoteReadError.ts"

const VARINT = 0
const FIXED_64 = 1
const LENGTH_DELIMITED = 2
const FIXED_32 = 5

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A cursor over the fields of one message. All methods throw a `RemoteReadError` where the bytes are no such message. */
export class ProtobufReader {
  readonly bytes: Uint8Array
  private readonly view: DataView
  private readonly end: number
  private position: number
  private wireType = VARINT
  /** The halves of the last varint. */
  private low = 0
  private high = 0

  constructor(
    bytes: Uint8Array,
    start = 0,
    end = bytes.length,
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  ) {
    this.bytes = bytes
    this.view = view
    this.position = start
    this.end = end
  }

  /** The number of the next field, whose value must be read or skipped next; 0 at the end. */
  next(): number {
    if (this.position === this.end) return 0
    this.varint()
    const { high, low } = this
    this.wireType = low & 7
    const field = low >>> 3
    if (high !== 0 || field === 0) throw invalid()
    return field
  }

  /** Skips a value. */
  skip(): void {
    if (this.wireType === VARINT) this.varint()
    else if (this.wireType === FIXED_64) this.advance(8)
    else if (this.wireType === FIXED_32) this.advance(4)
    else this.range()
  }

  /** An `int64`, `uint64` or enumeration as the nearest signed integer. */
  int64(): number {
    this.expect(VARINT)
    this.varint()
    return (this.high | 0) * 4294967296 + this.low
  }

  /** A `uint64` as the nearest float. */
  uint64(): number {
    this.expect(VARINT)
    this.varint()
    return this.high * 4294967296 + this.low
  }

  /** A `sint64` as a pair of halves, exactly. */
  sint64(): readonly [high: number, low: number] {
    this.expect(VARINT)
    return this.zigzag()
  }

  /** A `sint32`. */
  sint32(): number {
    return this.sint64()[1] | 0
  }

  /** A `double`. */
  double(): number {
    this.expect(FIXED_64)
    const at = this.position
    this.advance(8)
    return this.view.getFloat64(at, true)
  }

  /** The bits of a `double`, which a number may lose. */
  doubleBits(): readonly [high: number, low: number] {
    this.expect(FIXED_64)
    const at = this.position
    this.advance(8)
    return [this.view.getUint32(at + 4, true), this.view.getUint32(at, true)]
  }

  /** A `double`, and whether it is the marker that ends a series. */
  markedDouble(): { readonly value: number; readonly isStale: boolean } {
    const [high, low] = this.doubleBits()
    return { value: floatFromBits(high, low), isStale: isStale(high, low) }
  }

  /** Calls `read` for each value of a repeated `double`, in either form. */
  doubles(read: (value: number) => void): void {
    this.repeated(FIXED_64, (reader) => read(reader.double()))
  }

  /** Calls `read` for each value of a repeated `sint64`, in either form. */
  sint64s(read: (value: readonly [high: number, low: number]) => void): void {
    this.repeated(VARINT, (reader) => read(reader.sint64()))
  }

  /** The start and the end of a length-delimited value: a message, a string or bytes. */
  range(): readonly [start: number, end: number] {
    this.expect(LENGTH_DELIMITED)
    return this.content()
  }

  /** A message. */
  message(): ProtobufReader {
    return this.at(...this.range())
  }

  /** A message at another place in the same bytes. */
  at(start: number, end: number): ProtobufReader {
    return new ProtobufReader(this.bytes, start, end, this.view)
  }

  /** A string. */
  string(): string {
    const [start, end] = this.range()
    try {
      return utf8.decode(this.bytes.subarray(start, end))
    } catch {
      throw damaged("a text is not UTF-8")
    }
  }

  private repeated(wireType: number, read: (reader: ProtobufReader) => void): void {
    if (this.wireType !== LENGTH_DELIMITED) {
      read(this)
      return
    }
    const packed = this.message()
    packed.wireType = wireType
    while (packed.position < packed.end) read(packed)
  }

  private zigzag(): readonly [high: number, low: number] {
    this.varint()
    const { high, low } = this
    const sign = -(low & 1)
    return [(high >>> 1) ^ sign, (((low >>> 1) | (high << 31)) ^ sign) >>> 0]
  }

  private expect(wireType: number): void {
    if (this.wireType !== wireType) throw invalid()
  }

  private advance(bytes: number): void {
    if (bytes > this.end - this.position) throw damaged("a message is cut short")
    this.position += bytes
  }

  private content(): readonly [start: number, end: number] {
    this.varint()
    const start = this.position
    this.advance(this.high * 4294967296 + this.low)
    return [start, this.position]
  }

  private varint(): void {
    const { bytes, end } = this
    let low = 0
    let high = 0
    let position = this.position
    for (let shift = 0; shift < 70; shift += 7) {
      if (position === end) throw damaged("a message is cut short")
      const byte = bytes[position++]!
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) {
        this.low = low >>> 0
        this.high = high >>> 0
        this.position = position
        return
      }
    }
    throw invalid()
  }
}

const invalid = () => damaged("a message is not valid protobuf")
