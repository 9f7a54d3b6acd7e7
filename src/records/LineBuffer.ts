/**
 * A growable buffer of lines.
 *
 * A WebAssembly program (`wasm/assembly/appendLines.ts`) encodes millions of records per second here. Its memory is the buffer:
 * samples are copied into it, which is cheap, and lines, which are ten times as long, are written in place.
 */
import type { FloatBlock, NumberBlock, TextBlock } from "../samples/Sample.ts"
import { appendLines } from "../wasm/appendLines.wasm.ts"
import { type Constant, load, type Memory, newMemory, PAGE_BYTES } from "../wasm/load.ts"
import type { LineTemplate } from "./LineTemplate.ts"
import { powersOfTen } from "./powersOfTen.ts"

/** How many bytes after the lines the program may overwrite. */
const SLACK = 32

/** Few values are longer. If they are, lines are encoded in more steps. */
const USUAL_VALUE_BYTES = 24

/** The size of the milliseconds of a time, and that of the longest float. */
const MILLIS_BYTES = 4
const FLOAT_BYTES = 25

interface Exports {
  readonly BEFORE: Constant
  readonly BEFORE_CAPACITY: Constant
  readonly BETWEEN: Constant
  readonly BETWEEN_CAPACITY: Constant
  readonly AFTER: Constant
  readonly AFTER_CAPACITY: Constant
  readonly TIMES: Constant
  readonly STARTS: Constant
  readonly ENDS: Constant
  readonly SAMPLES_CAPACITY: Constant
  readonly VALUES: Constant
  readonly VALUES_CAPACITY: Constant
  readonly FREE: Constant
  readonly POWERS_OF_TEN: Constant
  readonly setLine: (
    before: number,
    between: number,
    after: number,
    timeOfDay: number,
    midnight: number
  ) => void
  readonly append: (
    samples: number,
    base: number,
    valuesLength: number,
    lines: number,
    limit: number
  ) => number
  readonly appendFloats: (samples: number, lines: number, limit: number) => number
  readonly linesEnd: () => number
}

/** Views of the part of the program's memory before the lines. */
const viewInputs = ({ buffer }: Memory, program: Exports) => ({
  before: new Uint8Array(buffer, program.BEFORE.value, program.BEFORE_CAPACITY.value),
  between: new Uint8Array(buffer, program.BETWEEN.value, program.BETWEEN_CAPACITY.value),
  after: new Uint8Array(buffer, program.AFTER.value, program.AFTER_CAPACITY.value),
  times: new Float64Array(buffer, program.TIMES.value, program.SAMPLES_CAPACITY.value),
  starts: new Uint32Array(buffer, program.STARTS.value, program.SAMPLES_CAPACITY.value),
  ends: new Uint32Array(buffer, program.ENDS.value, program.SAMPLES_CAPACITY.value),
  values: new Uint8Array(buffer, program.VALUES.value, program.VALUES_CAPACITY.value),
  floats: new Float64Array(buffer, program.VALUES.value, program.SAMPLES_CAPACITY.value)
})

/** A view of the lines. */
const viewLines = ({ buffer }: Memory, { FREE }: Exports): Uint8Array =>
  new Uint8Array(buffer, FREE.value, buffer.byteLength - FREE.value - SLACK)

export class LineBuffer {
  /** Growing detaches the previous array and replaces it. */
  bytes: Uint8Array
  length = 0

  private readonly memory: Memory
  private readonly program: Exports
  private inputs: ReturnType<typeof viewInputs>
  /** The line and the day that the program is prepared for. */
  private template: LineTemplate | undefined
  private midnight = Number.NaN
  private hasPowers = false

  constructor(capacity: number) {
    this.memory = newMemory()
    this.program = load<Exports>(appendLines, this.memory)
    this.inputs = viewInputs(this.memory, this.program)
    this.bytes = viewLines(this.memory, this.program)
    this.reserve(capacity)
  }

  /** Reserves space for `count` more bytes, which the caller then writes at `length`. */
  reserve(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    const larger = this.program.FREE.value + Math.max(needed, this.bytes.length * 2) + SLACK
    this.memory.grow(Math.ceil(larger / PAGE_BYTES) - this.memory.buffer.byteLength / PAGE_BYTES)
    this.inputs = viewInputs(this.memory, this.program)
    this.bytes = viewLines(this.memory, this.program)
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /**
   * Appends a line per sample, starting at index `from`, up to the first sample that is not plain: its value is not a number,
   * or its time is outside the years 1970 to 9999. Returns the index of that sample, or the block's length.
   *
   * Very long lines are never plain.
   */
  appendLines(template: LineTemplate, block: FloatBlock, from: number): number {
    let i = from
    while (i < block.length && template.turnTo(block.times[i]!)) {
      if (!this.prepare(template)) break
      const count =
        block._tag === "TextBlock"
          ? this.appendTexts(template, block, i)
          : this.appendFloats(template, block, i)
      if (count === 0) break
      i += count
    }
    return i
  }

  /** Appends lines for the samples of one day: one batch, or up to the first sample that is not plain. Returns their number. */
  private appendTexts({ after, before, between }: LineTemplate, block: TextBlock, from: number): number {
    const { program } = this
    let to = Math.min(block.length, from + this.inputs.times.length)
    const start = block.starts[from]!
    if (!this.hasRoomForValues(start, block.ends[to - 1]!)) to = from + 1
    const end = block.ends[to - 1]!
    if (!this.hasRoomForValues(start, end)) return 0
    const line = before.length + between.length + after.length
    this.reserve(Math.max(line + MILLIS_BYTES + end - start, (line + USUAL_VALUE_BYTES) * (to - from)))
    this.inputs.times.set(block.times.subarray(from, to))
    this.inputs.starts.set(block.starts.subarray(from, to))
    this.inputs.ends.set(block.ends.subarray(from, to))
    this.inputs.values.set(block.bytes.subarray(start, end))
    const free = program.FREE.value
    const count = program.append(to - from, start, end - start, free + this.length, free + this.bytes.length)
    this.length = program.linesEnd() - free
    return count
  }

  /** The same for floats. */
  private appendFloats({ after, before, between }: LineTemplate, block: NumberBlock, from: number): number {
    const { program } = this
    const to = Math.min(block.length, from + this.inputs.times.length)
    this.reserve((before.length + between.length + after.length + MILLIS_BYTES + FLOAT_BYTES) * (to - from))
    if (!this.hasPowers) this.setPowers()
    this.inputs.times.set(block.times.subarray(from, to))
    this.inputs.floats.set(block.values.subarray(from, to))
    const free = program.FREE.value
    const count = program.appendFloats(to - from, free + this.length, free + this.bytes.length)
    this.length = program.linesEnd() - free
    return count
  }

  /** Passes a line to the program. Returns false if it is too long. */
  private prepare(template: LineTemplate): boolean {
    const { inputs } = this
    const { after, before, between, midnight, timeOfDayAt } = template
    if (template === this.template && midnight === this.midnight) return true
    if (
      before.length > inputs.before.length ||
      between.length > inputs.between.length ||
      after.length > inputs.after.length
    ) {
      return false
    }
    this.template = template
    this.midnight = midnight
    inputs.before.set(before)
    inputs.between.set(between)
    inputs.after.set(after)
    this.program.setLine(before.length, between.length, after.length, timeOfDayAt, midnight)
    return true
  }

  /** The program needs powers of ten for the digits of floats. Most buffers never contain floats. */
  private setPowers(): void {
    new BigUint64Array(this.memory.buffer, this.program.POWERS_OF_TEN.value).set(powersOfTen())
    this.hasPowers = true
  }

  private hasRoomForValues(start: number, end: number): boolean {
    return start < end && end - start <= this.inputs.values.length
  }
}
