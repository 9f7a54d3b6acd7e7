/** Stops a run: it is killed before one of its changes to files, or the disk is full from one on. */
import { cpSync, existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, FileSystem, Layer, PlatformError } from "effect"

/** The defect of a killed run, or the message of its errors. */
export const killed = "killed"

/** Replaces a change of files. */
type Counted = <A>(
  change: Effect.Effect<A, PlatformError.PlatformError>,
  method: string
) => Effect.Effect<A, PlatformError.PlatformError>

/** The methods that need space on the disk. */
const needSpace: ReadonlySet<string> = new Set(["makeDirectory", "writeFileString", "writeAll", "sync"])

/** Files whose changes all pass through `counted`. */
const countedFiles = (files: FileSystem.FileSystem, counted: Counted): FileSystem.FileSystem =>
  FileSystem.FileSystem.of({
    ...files,
    makeDirectory: (...args) => counted(files.makeDirectory(...args), "makeDirectory"),
    remove: (...args) => counted(files.remove(...args), "remove"),
    rename: (...args) => counted(files.rename(...args), "rename"),
    truncate: (...args) => counted(files.truncate(...args), "truncate"),
    writeFileString: (...args) => counted(files.writeFileString(...args), "writeFileString"),
    open: (path, options) =>
      Effect.map(files.open(path, options), (file) => {
        if (options?.flag === "r") return file
        return new Proxy(file, {
          get: (target, name) => {
            const member: unknown = Reflect.get(target, name, target)
            if (name === "writeAll") {
              return (bytes: Uint8Array) =>
                Effect.andThen(
                  counted(target.writeAll(bytes.subarray(0, bytes.length >> 1)), "writeAll"),
                  counted(target.writeAll(bytes.subarray(bytes.length >> 1)), "writeAll")
                )
            }
            if (name === "truncate") return (length: number) => counted(target.truncate(length), "truncate")
            if (name === "sync") return counted(target.sync, "sync")
            return typeof member === "function" ? member.bind(target) : member
          }
        })
      })
  })

/** Stops a run at change number `at`. `onStop` gets the folder that the run leaves behind. */
export type Stop = (
  folder: string,
  at: number,
  onStop: (left: string) => void
) => Layer.Layer<FileSystem.FileSystem, never, FileSystem.FileSystem>

/** Kills a run before a change: the folder is copied as it is then, and nothing changes any more. */
const killBefore =
  (isCounted: (method: string) => boolean): Stop =>
  (folder, at, onStop) =>
    Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (files) => {
        let count = 0
        return countedFiles(files, (change, method) =>
          Effect.suspend(() => {
            if (!isCounted(method)) return count > at ? Effect.die(killed) : change
            if (count++ === at) {
              const copy = `${folder}.killed`
              if (existsSync(folder)) cpSync(folder, copy, { recursive: true })
              onStop(copy)
              return Effect.die(killed)
            }
            return count > at ? Effect.die(killed) : change
          })
        )
      })
    )

/** Kills a run before any change of files. */
export const killBeforeChange = killBefore(() => true)

/** Kills a run before a file gets its name: a manifest that replaces another one, or data that it names. */
export const killBeforeRename = killBefore((method) => method === "rename")

/** Fills the disk: that change and all later ones fail if they need space. */
export const fillDisk: Stop = (folder, at, onStop) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (files) => {
      let count = 0
      return countedFiles(files, (change, method) =>
        Effect.suspend(() => {
          if (count++ < at || !needSpace.has(method)) return change
          onStop(folder)
          return Effect.fail(
            PlatformError.systemError({
              _tag: "Unknown",
              module: "FileSystem",
              method: "write",
              pathOrDescriptor: folder,
              cause: Object.assign(new Error("no space left on device"), { code: "ENOSPC" })
            })
          )
        })
      )
    })
  )

/** Turns the locks of a folder into those of a process that has ended. */
export const buryOwner = (folder: string): void => {
  const inside = join(folder, "_state")
  for (const name of existsSync(inside) ? readdirSync(inside) : []) {
    const path = join(inside, name)
    if (!/^_(lock|lease)\./.test(name)) continue
    const text = readFileSync(path, "utf8")
    if (text.trim().endsWith("}")) {
      writeFileSync(path, `${JSON.stringify({ ...JSON.parse(text), process: 4_194_305 })}\n`)
    }
    // A lock that was cut off has no owner.
    else utimesSync(path, 0, 0)
  }
}
