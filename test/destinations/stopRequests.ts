/** Stops a run at one of its requests to an object store that change something: it is killed before, or the store is full. */
import { FileSystem, Layer } from "effect"
import { OpenS3Client } from "../../src/destinations/objects/OpenS3Client.ts"
import type { Operation } from "../../src/destinations/objects/S3Requests.ts"
import { openClient } from "../../src/destinations/objects/s3Library.ts"
import { killed, type Stop } from "./stops.ts"

/** Replaces a request. */
type Counted = <A>(operation: Operation, key: string, run: () => Promise<A>) => Promise<A>

/** A client whose requests all pass through `counted`. */
const withRequests = (counted: Counted) =>
  Layer.merge(
    Layer.effect(FileSystem.FileSystem, FileSystem.FileSystem),
    Layer.succeed(OpenS3Client, async () => {
      const client = await openClient(process.env)
      return {
        ...client,
        send: (operation, input, signal) =>
          counted(operation, "Key" in input ? (input.Key ?? "") : "", () =>
            client.send(operation, input, signal)
          )
      }
    })
  )

const isChange = (operation: Operation): boolean => !/^(Get|Head|List)/.test(operation)

const fail = (name: string) => Promise.reject(Object.assign(new Error(name), { name }))

/** Kills a run before a change: no request is sent any more. */
const killBefore =
  (isCounted: (operation: Operation, key: string) => boolean): Stop =>
  (folder, at, onStop) => {
    let count = 0
    return withRequests((operation, key, run) => {
      if (isCounted(operation, key) && count++ === at) onStop(folder)
      return count > at ? fail(killed) : run()
    })
  }

/** Kills a run before any change of the store. */
export const killBeforeChangeOfStore = killBefore(isChange)

/** Kills a run before a manifest is saved, or a part is moved into place or removed. */
export const killAtCommitOfStore = killBefore(
  (operation, key) =>
    operation === "CopyObject" ||
    operation === "DeleteObject" ||
    (operation === "PutObject" && /\/_state\/[^_/][^/]*\.json$/.test(key))
)

/** Fills the store: that change and all later ones fail. Every other time, the first one takes effect, but its response is lost. */
export const fillStore: Stop = (folder, at, onStop) => {
  let count = 0
  return withRequests(async (operation, _key, run) => {
    if (!isChange(operation) || operation === "DeleteObject" || count++ < at) return run()
    onStop(folder)
    if (count === at + 1 && at % 2 === 1) await run().catch(() => {})
    return fail("QuotaExceeded")
  })
}
