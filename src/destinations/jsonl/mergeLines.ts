/**
 * Puts later lines behind older ones, without those of the older ones that have the same series and time.
 *
 * The files are read as streams, and only the keys of so many later lines are in memory at a time: where there are more,
 * the older lines are gone through more than once.
 */
import { createGunzip } from "node:zlib"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Effect, FileSystem, Stream } from "effect"
import { DestinationError } from "../Destination.ts"
import { cannot, noFollow, syncFile } from "../folder/durably.ts"
import { type LinesFile, openLines } from "./LinesFile.ts"

/** How many keys are in memory at a time: some 50 MB. */
const MOST_KEYS = 1_000_000

/** The beginning of a file. */
export interface Piece {
  readonly path: string
  readonly bytes: number
}

/** What merging needs to know of the files, which all belong to one stream. */
export interface LinesFormat {
  readonly isGzip: boolean
  /** Where in a line the digits of its series are. */
  readonly seriesAt: number
}

const SERIES_DIGITS = 32
const TIME = Buffer.from('"time":"')
const LINE_FEED = 0x0a
const QUOTE = 0x22
/** Of `2026-01-01`. */
const DATE_LENGTH = 10

/** Merges into a new file; returns its size and how many lines it has. */
export const mergeLines = Effect.fnUntraced(function* (
  older: ReadonlyArray<Piece>,
  later: ReadonlyArray<Piece>,
  target: string,
  format: LinesFormat,
  mostKeys: number = MOST_KEYS
) {
  const files = yield* FileSystem.FileSystem
  const remove = (path: string) =>
    files.remove(path, { force: true }).pipe(Effect.mapError(cannot("removed", path)))
  let base = older
  let pass = 0
  for (;;) {
    const from = pass * mostKeys
    const { count, keys } = yield* keysOf(later, from, from + mostKeys, format)
    const isLast = count <= from + mostKeys
    const path = isLast ? target : `${target}.${pass}`
    yield* remove(path)
    const out = openLines(files, path, 0, format.isGzip)
    const kept = yield* copyLines(
      base,
      out,
      format,
      (_, series, time) => keys.get(series, time) === undefined
    )
    const added = yield* copyLines(
      later,
      out,
      format,
      (line, series, time) => line >= from && line < from + mostKeys && keys.get(series, time) === line
    )
    out.keep()
    const bytes = yield* out.flush
    if (pass > 0) yield* remove(`${target}.${pass - 1}`)
    if (isLast) return { bytes, rows: kept + added }
    base = [{ path, bytes }]
    pass++
  }
})

type Visit = (line: number, series: string, time: number, start: number, end: number, bytes: Buffer) => void

/** Lines by the series and time that they are the last ones of. */
class Keys {
  private readonly bySeries = new Map<string, Map<number, number>>()
  private from = Number.POSITIVE_INFINITY
  private to = Number.NEGATIVE_INFINITY
  /** The series that was asked for before. */
  private series = ""
  private times: Map<number, number> | undefined

  add(series: string, time: number, line: number): void {
    let times = this.bySeries.get(series)
    if (times === undefined) {
      times = new Map()
      this.bySeries.set(series, times)
    }
    times.set(time, line)
    if (time < this.from) this.from = time
    if (time > this.to) this.to = time
  }

  get(series: string, time: number): number | undefined {
    if (time < this.from || time > this.to) return undefined
    if (series !== this.series) {
      this.series = series
      this.times = this.bySeries.get(series)
    }
    return this.times?.get(time)
  }
}

/** The keys of lines `from` to before `to`; and how many lines there are in all. */
const keysOf = Effect.fnUntraced(function* (
  pieces: ReadonlyArray<Piece>,
  from: number,
  to: number,
  format: LinesFormat
) {
  const keys = new Keys()
  const count = yield* eachLine(pieces, format, (line, series, time) => {
    if (line >= from && line < to) keys.add(series, time, line)
  })
  return { count, keys }
})

/** Appends the lines that are wanted, and returns how many they are. Neighbours are copied as one. */
const copyLines = Effect.fnUntraced(function* (
  pieces: ReadonlyArray<Piece>,
  out: LinesFile,
  format: LinesFormat,
  isWanted: (line: number, series: string, time: number) => boolean
) {
  let bytes: Buffer | undefined
  let from = 0
  let to = 0
  let count = 0
  const copy = () => {
    if (bytes !== undefined) out.buffer.append(bytes.subarray(from, to))
    bytes = undefined
  }
  yield* eachLine(
    pieces,
    format,
    (line, series, time, start, end, chunk) => {
      if (!isWanted(line, series, time)) return
      if (bytes !== chunk || to !== start) {
        copy()
        bytes = chunk
        from = start
      }
      to = end
      count++
    },
    Effect.suspend(() => {
      copy()
      return out.relieve
    })
  )
  return count
})

/** Shows the lines of files one after the other; `afterChunk` runs now and then. Answers how many lines there are. */
const eachLine = Effect.fnUntraced(function* (
  pieces: ReadonlyArray<Piece>,
  format: LinesFormat,
  visit: Visit,
  afterChunk: Effect.Effect<void, DestinationError> = Effect.void
) {
  let line = 0
  const keyOf = keyReader(format.seriesAt)
  for (const piece of pieces) {
    let rest = Buffer.alloc(0)
    yield* Stream.runForEach(bytesOf(yield* FileSystem.FileSystem, piece, format.isGzip), (chunk) => {
      const bytes =
        rest.length === 0
          ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
          : Buffer.concat([rest, chunk])
      let start = 0
      for (let feed = bytes.indexOf(LINE_FEED); feed >= 0; feed = bytes.indexOf(LINE_FEED, start)) {
        const { series, time } = keyOf(bytes, start, feed)
        visit(line++, series, time, start, feed + 1, bytes)
        start = feed + 1
      }
      rest = Buffer.from(bytes.subarray(start))
      return afterChunk
    })
  }
  return line
})

/** Reads series and time of lines. Most begin like the line before, up to their time, and are of the same day. */
const keyReader = (seriesAt: number) => {
  let beginning = Buffer.alloc(0)
  let date = Buffer.alloc(0)
  let midnight = 0
  const key = { series: "", time: 0 }
  return (bytes: Buffer, start: number, end: number): { readonly series: string; readonly time: number } => {
    let timeAt = start + beginning.length
    if (beginning.length === 0 || timeAt > end || beginning.compare(bytes, start, timeAt) !== 0) {
      // Labels may be called `time` too, but they come before it; and what looks like it inside a text is escaped.
      timeAt = bytes.lastIndexOf(TIME, end) + TIME.length
      beginning = Buffer.from(bytes.subarray(start, timeAt))
      key.series = bytes.toString("latin1", start + seriesAt, start + seriesAt + SERIES_DIGITS)
    }
    // `2026-01-01T00:00:00Z`: anything else is left to the language.
    if (bytes[timeAt + 19] !== 0x5a || bytes[timeAt + 20] !== QUOTE) {
      key.time = Date.parse(bytes.toString("latin1", timeAt, bytes.indexOf(QUOTE, timeAt)))
      return key
    }
    if (date.length === 0 || date.compare(bytes, timeAt, timeAt + DATE_LENGTH) !== 0) {
      date = Buffer.from(bytes.subarray(timeAt, timeAt + DATE_LENGTH))
      midnight = Date.parse(date.toString("latin1"))
    }
    const hours = twoDigits(bytes, timeAt + 11)
    key.time =
      midnight + ((hours * 60 + twoDigits(bytes, timeAt + 14)) * 60 + twoDigits(bytes, timeAt + 17)) * 1000
    return key
  }
}

const twoDigits = (bytes: Buffer, at: number): number => bytes[at]! * 10 + bytes[at + 1]! - 0x30 * 11

/** The text at the beginning of a file. */
const bytesOf = (
  files: FileSystem.FileSystem,
  { bytes, path }: Piece,
  isGzip: boolean
): Stream.Stream<Uint8Array, DestinationError> => {
  if (bytes === 0) return Stream.empty
  const raw = files
    .stream(path, { bytesToRead: bytes, chunkSize: 256 * 1024 })
    .pipe(Stream.mapError(cannot("read", path)))
  return isGzip
    ? NodeStream.pipeThroughDuplex(raw, {
        evaluate: () => createGunzip(),
        onError: () =>
          new DestinationError({ message: `${path} cannot be read: it is no gzip file any more.` })
      })
    : raw
}

/** Copies bytes `from` to before `to` of one file behind what another one has, to last. */
export const copyRange = Effect.fnUntraced(function* (
  path: string,
  from: number,
  to: number,
  target: string
) {
  if (from === to) return
  const files = yield* FileSystem.FileSystem
  yield* Effect.scoped(
    Effect.gen(function* () {
      const file = yield* files.open(target, { flag: "a", ...noFollow })
      yield* Stream.runForEach(
        files.stream(path, { offset: from, bytesToRead: to - from, chunkSize: 256 * 1024 }),
        (bytes) => file.writeAll(bytes)
      )
    })
  ).pipe(Effect.mapError(cannot("written", target)))
  yield* syncFile(target)
})
