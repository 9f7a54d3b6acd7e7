/** Cuts the samples of a response into blocks, series by series. */
import { Arena, type ArenaBlock } from "../../samples/Arena.ts"
import type { SampleBlock, Series, TextBlock } from "../../samples/Sample.ts"
import { DecodedSeries } from "../../samples/Series.ts"
import { type ScanEnd, sampleScanner } from "./SampleScanner.ts"

/** Builds the blocks of one response. */
export class BlockBuilder {
  /** The current series. */
  series: Series = new DecodedSeries()
  /** Whether its labels have been read. */
  isLabelled = false
  private blocks: Array<SampleBlock> = []
  /** The index of its first block. Its blocks wait for its labels. */
  private waitingFrom = 0

  private arena = new Arena()
  private blockStart = 0
  private next = 0

  /** After a scan: the index of the first byte after the samples found. */
  position = 0

  /** Whether blocks wait for the labels of their series. */
  get hasWaiting(): boolean {
    return !this.isLabelled && this.blocks.length > this.waitingFrom
  }

  /** Starts another series. Its labels come before or after its samples. */
  begin(series: Series): void {
    this.series = series
    this.isLabelled = false
    this.waitingFrom = this.blocks.length
  }

  /** The labels of the series have been read; `series` has them. */
  label(series: Series): void {
    this.series = series
    this.isLabelled = true
  }

  /** Reads samples of plain form as far as they are complete. */
  scan(bytes: Uint8Array, position: number): ScanEnd {
    const scanner = sampleScanner()
    let from = position
    for (;;) {
      const end = scanner.scan(bytes, from, this.arena, this.next)
      from = scanner.position
      this.next = scanner.next
      if (end !== "arena") {
        this.position = from
        return end
      }
      this.flush(bytes)
      this.arena = this.arena.next()
      this.blockStart = 0
      this.next = 0
    }
  }

  /** Ends the current block, if it has samples: its series ends, or its bytes are about to be replaced. */
  flush(bytes: Uint8Array): void {
    const { arena, blockStart, next } = this
    if (blockStart === next) return
    arena.hold()
    const block: ArenaBlock<TextBlock> = {
      _tag: "TextBlock",
      series: this.series,
      length: next - blockStart,
      times: arena.times.subarray(blockStart, next),
      bytes,
      starts: arena.starts.subarray(blockStart, next),
      ends: arena.ends.subarray(blockStart, next),
      arena
    }
    this.blockStart = next
    this.add(block)
  }

  /** Adds a block of the current series. */
  add(block: SampleBlock): void {
    this.blocks.push(block)
  }

  /** The blocks that are complete, each once. */
  take(): ReadonlyArray<SampleBlock> {
    const ready = this.blocks
    this.blocks = this.hasWaiting ? ready.splice(this.waitingFrom) : []
    this.waitingFrom = 0
    return ready
  }

  /** To be called after the last sample. */
  finish(): void {
    this.arena.retire()
  }
}
