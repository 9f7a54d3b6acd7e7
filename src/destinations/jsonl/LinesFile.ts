/**
 * A file that complete lines are appended to, plain or as gzip. What is before the mark is kept, the rest is discarded in the
 * end. A gzip file is a row of members, and the mark is always at the end of one: cut off there, it is a valid file.
 *
 * One buffer is written while the other one is filled.
 */
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { Effect, Exit, Fiber, type FileSystem, Scope } from "effect"
import { LineBuffer } from "../../records/LineBuffer.ts"
import type { DestinationError } from "../Destination.ts"
import { cannot, noFollow } from "../folder/durably.ts"

/** Buffered bytes that make a write worth its while. */
const WRITE_BYTES = 1024 * 1024

/** The disk starts to write after so many bytes: less is left for a commit to wait for. */
const SYNC_BYTES = 16 * 1024 * 1024

/** Level 1 takes a third of the time of the usual one, and its files are a little larger. */
const compress = promisify(gzip)
const LEVEL = 1

export interface LinesFile {
  /** Where lines are appended: another buffer after each `flushIfFull`. */
  readonly buffer: () => LineBuffer
  /** Begins to write the buffer if it has grown large. */
  readonly flushIfFull: Effect.Effect<void, DestinationError>
  /** All that was appended so far is to be kept. */
  readonly mark: () => void
  /** Writes what is before the mark, so that it survives a loss of power. Returns how many bytes that are. */
  readonly flush: Effect.Effect<number, DestinationError>
  /** Makes the file where nothing was appended to it, so that it is there. */
  readonly create: Effect.Effect<void, DestinationError>
  /** How many bytes have been appended, those in the buffer before they are compressed. */
  readonly bytes: () => number
}

/** A file with `bytes` bytes. What is after the mark goes with the scope. `check` fails where it must not be written any more. */
export const openLines = Effect.fnUntraced(function* (
  files: FileSystem.FileSystem,
  path: string,
  bytes: number,
  isGzip: boolean,
  check: Effect.Effect<void, DestinationError>
) {
  const fileScope = yield* Scope.make()
  let buffer = new LineBuffer(WRITE_BYTES / 4)
  let spare: LineBuffer | undefined
  let file: FileSystem.File | undefined
  let writing: Fiber.Fiber<void, DestinationError> | undefined
  let written = bytes
  /** How many bytes of the file are before the mark, and of the buffer. */
  let kept = bytes
  let mark = 0
  /** The mark is behind all that was written, or is being written. */
  let isWrittenKept = true
  let isBroken = false
  let isSynced = true
  let unsynced = 0
  let syncing: Fiber.Fiber<void, DestinationError> | undefined

  const open = Effect.suspend(() => files.open(path, { flag: "a", ...noFollow })).pipe(
    Scope.provide(fileScope),
    Effect.mapError(cannot("written", path)),
    Effect.tap((opened) => Effect.sync(() => (file = opened)))
  )

  const append = Effect.fnUntraced(function* (lines: Uint8Array) {
    const piece = isGzip ? yield* Effect.promise(() => compress(lines, { level: LEVEL })) : lines
    yield* check
    isBroken = true
    isSynced = false
    yield* (file ?? (yield* open)).writeAll(piece).pipe(Effect.mapError(cannot("written", path)))
    isBroken = false
    written += piece.length
    unsynced += piece.length
    if (unsynced >= SYNC_BYTES) yield* beginToSync
  })

  const sync = Effect.suspend(() => file?.sync ?? Effect.void).pipe(Effect.mapError(cannot("written", path)))

  const synced = Effect.gen(function* () {
    if (syncing !== undefined) yield* Fiber.join(syncing)
    syncing = undefined
  })

  const beginToSync = Effect.gen(function* () {
    if (syncing !== undefined && syncing.pollUnsafe() === undefined) return
    yield* synced
    unsynced = 0
    syncing = yield* Effect.forkDetach(sync, { startImmediately: true })
  })

  /** Waits for what is being written. */
  const settled = Effect.gen(function* () {
    if (writing !== undefined) yield* Fiber.join(writing)
    writing = undefined
    if (isWrittenKept) kept = written
  })

  // What is before the mark and what is after it are never in one member.
  const write = Effect.fnUntraced(function* (full: LineBuffer, marked: number) {
    if (marked > 0) {
      yield* append(full.bytes.subarray(0, marked))
      kept = written
    }
    if (full.length > marked) yield* append(full.bytes.subarray(marked, full.length))
  })
  const beginToWrite = Effect.gen(function* () {
    yield* settled
    const full = buffer
    const marked = mark
    buffer = spare ?? new LineBuffer(WRITE_BYTES / 4)
    buffer.length = 0
    spare = full
    mark = 0
    isWrittenKept = full.length === marked
    // Nobody interrupts it: the file must not be closed or shortened meanwhile.
    writing = yield* Effect.forkDetach(write(full, marked), { startImmediately: true })
  })

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      yield* Effect.ignore(settled)
      yield* Effect.ignore(synced)
      yield* Scope.close(fileScope, Exit.void)
      if (written !== kept || isBroken) yield* Effect.ignore(cutTo(files, path, kept))
    })
  )
  const lines: LinesFile = {
    buffer: () => buffer,
    flushIfFull: Effect.suspend(() => (buffer.length < WRITE_BYTES ? Effect.void : beginToWrite)),
    mark: () => {
      mark = buffer.length
      isWrittenKept = true
    },
    flush: Effect.gen(function* () {
      yield* settled
      if (mark > 0) {
        yield* append(buffer.bytes.subarray(0, mark))
        buffer.bytes.copyWithin(0, mark, buffer.length)
        buffer.length -= mark
        mark = 0
        kept = written
      }
      yield* synced
      if (!isSynced) yield* sync
      isSynced = true
      unsynced = 0
      return kept
    }),
    create: Effect.gen(function* () {
      yield* settled
      if (written + buffer.length > 0) return
      yield* append(new Uint8Array(0))
      kept = written
    }),
    bytes: () => written + (writing === undefined ? 0 : (spare?.length ?? 0)) + buffer.length
  }
  return lines
})

/** Shortens a file. An empty one is no gzip file: there is none then. */
export const cutTo = (files: FileSystem.FileSystem, path: string, bytes: number) =>
  (bytes === 0
    ? files.remove(path, { force: true })
    : Effect.scoped(
        Effect.flatMap(files.open(path, { flag: "r+", ...noFollow }), (file) => file.truncate(bytes))
      )
  ).pipe(Effect.mapError(cannot("shortened", path)))
