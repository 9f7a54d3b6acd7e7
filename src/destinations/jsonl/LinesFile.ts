/**
 * A file of complete lines, plain or as gzip, to which lines are appended. Closing discards everything after the mark. A gzip
 * file is a sequence of members, and the mark is always at the end of a member, so that the truncated file is valid.
 *
 * One buffer is written while the other one is filled.
 */
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { Effect, Exit, Fiber, type FileSystem, Scope } from "effect"
import { LineBuffer } from "../../records/LineBuffer.ts"
import type { DestinationError } from "../Destination.ts"
import { cannot, noFollow } from "../folder/durably.ts"

/** The number of buffered bytes that make a write worthwhile. */
const WRITE_BYTES = 1024 * 1024

/** A sync starts after this many bytes, so that a commit has less to wait for. */
const SYNC_BYTES = 16 * 1024 * 1024

/** Level 1 takes a third of the time of the default level. Its files are a little larger. */
const compress = promisify(gzip)
const LEVEL = 1

/**
 * Opens a file of `bytes` bytes. Closing the scope discards everything after the mark. `check` fails if the file must not be
 * written any more.
 */
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
  /** The number of bytes before the mark, in the file and in the buffer. */
  let kept = bytes
  let mark = 0
  /** Whether the mark is after everything that was written or is being written. */
  let isWrittenMarked = true
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

  /** Waits for the current write. */
  const writeFinished = Effect.gen(function* () {
    if (writing !== undefined) yield* Fiber.join(writing)
    writing = undefined
    if (isWrittenMarked) kept = written
  })

  // Bytes before and after the mark must not be in the same member.
  const write = Effect.fnUntraced(function* (full: LineBuffer, marked: number) {
    if (marked > 0) {
      yield* append(full.bytes.subarray(0, marked))
      kept = written
    }
    if (full.length > marked) yield* append(full.bytes.subarray(marked, full.length))
  })
  const startWrite = Effect.gen(function* () {
    yield* writeFinished
    const full = buffer
    const marked = mark
    buffer = spare ?? new LineBuffer(WRITE_BYTES / 4)
    buffer.length = 0
    spare = full
    mark = 0
    isWrittenMarked = full.length === marked
    // Uninterruptible: the file must not be closed or truncated during a write.
    writing = yield* Effect.forkDetach(write(full, marked), { startImmediately: true })
  })

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      yield* Effect.ignore(writeFinished)
      yield* Effect.ignore(synced)
      yield* Scope.close(fileScope, Exit.void)
      if (written !== kept || isBroken) yield* Effect.ignore(truncateFile(files, path, kept))
    })
  )
  return {
    /** The buffer to append lines to. `flushIfFull` may replace it. */
    buffer: () => buffer,
    /** Starts to write the buffer if it is full. */
    flushIfFull: Effect.suspend(() => (buffer.length < WRITE_BYTES ? Effect.void : startWrite)),
    /** Sets the mark: everything appended so far is kept. */
    mark: () => {
      mark = buffer.length
      isWrittenMarked = true
    },
    /** Writes and syncs everything before the mark. Returns the size up to the mark. */
    flush: Effect.gen(function* () {
      yield* writeFinished
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
    /** Creates the file even if nothing was appended. */
    create: Effect.gen(function* () {
      yield* writeFinished
      if (written + buffer.length > 0) return
      yield* append(new Uint8Array(0))
      kept = written
    }),
    /** The number of bytes appended; buffered bytes count uncompressed. */
    bytes: () => written + (writing === undefined ? 0 : (spare?.length ?? 0)) + buffer.length
  }
})

/** Truncates a file. An empty file is not valid gzip, so it is removed. */
export const truncateFile = (files: FileSystem.FileSystem, path: string, bytes: number) =>
  (bytes === 0
    ? files.remove(path, { force: true })
    : Effect.scoped(
        Effect.flatMap(files.open(path, { flag: "r+", ...noFollow }), (file) => file.truncate(bytes))
      )
  ).pipe(Effect.mapError(cannot("shortened", path)))
