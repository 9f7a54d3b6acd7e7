/**
 * A destination of parts in memory: as obvious as possible, and strict. A commit is one step. It keeps a list of rows, so that a row
 * that should have been replaced is there twice.
 */
import { Effect, Layer } from "effect"
import type { DestinationError } from "../../src/destinations/Destination.ts"
import { type PartWriter, SharedDestination } from "../../src/destinations/SharedDestination.ts"
import { type SampleBlock, textAt } from "../../src/samples/Sample.ts"
import { overlapWith, type PartResult, withPart } from "../../src/sync/partState.ts"
import { decodeState } from "../../src/sync/StateStore.ts"
import { decodeStreamState, encodeStreamState, type StreamState } from "../../src/sync/StreamState.ts"

export interface MemoryRow {
  readonly series: string
  readonly millis: number
  readonly value: string
}

/** The steps at which a process may be stopped or fail. */
export type PartStep = "open" | "write" | "commit" | "committed"

/** Called before each step, and after a commit. */
export type OnStep = (step: PartStep, stream: string) => Effect.Effect<void, DestinationError>

export class MemoryParts {
  readonly rows = new Map<string, ReadonlyArray<MemoryRow>>()
  /** The states as JSON. */
  readonly states = new Map<string, unknown>()
  readonly lengths = new Map<string, number>()
  /** All parts that were committed, in order. */
  readonly commits: Array<PartResult & { readonly stream: string; readonly rows: number }> = []

  /** The rows of a stream as sorted texts. */
  textsOf(stream: string): ReadonlyArray<string> {
    return (this.rows.get(stream) ?? [])
      .map(({ millis, series, value }) => `${series} ${millis} ${value}`)
      .sort()
  }

  stateOf(stream: string): StreamState | undefined {
    const json = this.states.get(stream)
    const decoded = decodeStreamState(stream, json)
    return json === undefined || decoded._tag === "Failure" ? undefined : decoded.success
  }

  /** The destination as one process has it open. */
  layer(onStep: OnStep = () => Effect.void): Layer.Layer<SharedDestination> {
    return Layer.succeed(SharedDestination, {
      states: { load: (stream) => Effect.suspend(() => decodeState(stream, this.states.get(stream))) },
      streams: Effect.sync(
        () =>
          new Map(
            Array.from(this.states.keys(), (stream) => [
              stream,
              { kind: "metric", state: this.stateOf(stream) } as const
            ])
          )
      ),
      partLengths: (proposed) =>
        Effect.sync(() => {
          for (const [stream, length] of proposed) {
            if (!this.lengths.has(stream)) this.lengths.set(stream, length)
          }
          return new Map(this.lengths)
        }),
      bytes: Effect.succeed(42),
      previewCommand: (stream) => `look into ${stream}`,
      openPart: (stream) => Effect.as(onStep("open", stream), this.#open(stream, onStep))
    })
  }

  #open(stream: string, onStep: OnStep): PartWriter {
    const staged: Array<MemoryRow> = []
    return {
      write: (blocks) =>
        Effect.andThen(
          onStep("write", stream),
          Effect.sync(() => staged.push(...rowsOf(blocks)))
        ),
      commit: (part) =>
        onStep("commit", stream).pipe(
          Effect.andThen(Effect.sync(() => this.#commit(stream, part, staged))),
          Effect.tap(() => onStep("committed", stream))
        )
    }
  }

  #commit(stream: string, part: PartResult, staged: ReadonlyArray<MemoryRow>): boolean {
    const state = this.stateOf(stream)
    const next = withPart(state, part)
    if (next === undefined) return false
    const overlap = overlapWith(state, part)
    const keys = new Set(staged.map(({ millis, series }) => `${series} ${millis}`))
    const kept = (this.rows.get(stream) ?? []).filter(
      ({ millis, series }) =>
        !keys.has(`${series} ${millis}`) ||
        !overlap.some(({ firstMillis, lastMillis }) => firstMillis <= millis && millis <= lastMillis)
    )
    this.rows.set(stream, [...kept, ...staged])
    this.states.set(stream, encodeStreamState(next))
    this.commits.push({ ...part, stream, rows: staged.length })
    return true
  }
}

const rowsOf = (blocks: ReadonlyArray<SampleBlock>): ReadonlyArray<MemoryRow> =>
  blocks.flatMap((block) =>
    block._tag === "HistogramBlock"
      ? []
      : Array.from({ length: block.length }, (_, i) => ({
          series: block.series.id,
          millis: block.times[i]!,
          value: textAt(block, i)
        }))
  )
