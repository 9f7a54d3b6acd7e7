/**
 * A file that complete lines are appended to, plain or as gzip. What is before the mark is kept, the rest is discarded in the
 * end. A gzip file is a row of members, and the mark is always at the end of one: cut off there, it is a valid file.
 */
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { Effect, FileSystem } from "effect"
import { LineBuffer } from "../../records/LineBuffer.ts"
import type { DestinationError } from "../Destination.ts"
import { cannot, noFollow, syncFile } from "../folder/durably.ts"

/** Buffered bytes that make a write worth its while. */
const WRITE_BYTES = 1024 * 1024

/** Level 1 takes a third of the time of the usual one, and its files are a little larger. */
const compress = promisify(gzip)
const LEVEL = 1

export interface LinesFile {
  readonly path: string
  /** Where lines are appended. */
  readonly buffer: LineBuffer
  /** Writes the buffer if it has grown large. */
  readonly flushIfFull: Effect.Effect<void, DestinationError>
  /** All that was appended so far is to be kept. */
  readonly mark: () => void
  /** Removes what is after the mark. */
  readonly discard: Effect.Effect<void, DestinationError>
  /** Writes what is before the mark, so that it survives a loss of power. Returns how many bytes that are. */
  readonly flush: Effect.Effect<number, DestinationError>
  /** Makes the file where nothing was appended to it, so that it is there. */
  readonly create: Effect.Effect<void, DestinationError>
  /** How many bytes have been appended, those in the buffer before they are compressed. */
  readonly bytes: () => number
}

/** A file of which the first `bytes` are there already, and nothing more. */
export const openLines = (
  files: FileSystem.FileSystem,
  path: string,
  bytes: number,
  isGzip: boolean
): LinesFile => {
  const buffer = new LineBuffer(WRITE_BYTES / 4)
  let written = bytes
  /** How many bytes of the file are to be kept, and of the buffer. */
  let kept = bytes
  let mark = 0
  /** A write has failed, maybe after a part of it. */
  let isBroken = false
  let isSynced = true

  const append = Effect.fnUntraced(function* (lines: Uint8Array) {
    const piece = isGzip ? yield* Effect.promise(() => compress(lines, { level: LEVEL })) : lines
    const wasBroken = isBroken
    isBroken = true
    isSynced = false
    yield* Effect.scoped(
      Effect.gen(function* () {
        const file = yield* files.open(path, { flag: "a", ...noFollow })
        if (wasBroken) yield* file.truncate(written)
        yield* file.writeAll(piece)
      })
    ).pipe(Effect.mapError(cannot("written", path)))
    isBroken = false
    written += piece.length
  })

  const drainMarked = Effect.gen(function* () {
    if (mark === 0) return
    yield* append(buffer.bytes.subarray(0, mark))
    buffer.bytes.copyWithin(0, mark, buffer.length)
    buffer.length -= mark
    mark = 0
    kept = written
  })
  // What is before the mark and what is after it are never in one member.
  const drain = Effect.gen(function* () {
    yield* drainMarked
    if (buffer.length > 0) yield* append(buffer.bytes.subarray(0, buffer.length))
    buffer.length = 0
  })
  const discard = Effect.suspend(() => {
    buffer.length = mark
    if (written === kept && !isBroken) return Effect.void
    return cutTo(files, path, kept).pipe(
      Effect.andThen(
        Effect.sync(() => {
          written = kept
          isBroken = false
        })
      )
    )
  })
  return {
    path,
    buffer,
    flushIfFull: Effect.suspend(() => (buffer.length < WRITE_BYTES ? Effect.void : drain)),
    mark: () => {
      kept = written
      mark = buffer.length
    },
    discard,
    flush: Effect.gen(function* () {
      yield* drainMarked
      if (!isSynced) yield* syncFile(path)
      isSynced = true
      return kept
    }).pipe(Effect.provideService(FileSystem.FileSystem, files)),
    create: Effect.gen(function* () {
      if (written + buffer.length > 0) return
      yield* append(new Uint8Array(0))
      kept = written
    }),
    bytes: () => written + buffer.length
  }
}

/** Shortens a file. An empty one is no gzip file: there is none then. */
export const cutTo = (files: FileSystem.FileSystem, path: string, bytes: number) =>
  (bytes === 0
    ? files.remove(path, { force: true })
    : Effect.scoped(
        Effect.flatMap(files.open(path, { flag: "r+", ...noFollow }), (file) => file.truncate(bytes))
      )
  ).pipe(Effect.mapError(cannot("shortened", path)))
