/**
 * A real S3 server as a scoped resource, on a loopback port, with its objects in a temporary folder: the Versity gateway. It
 * checks signatures, keys and the region, and compares and swaps atomically.
 */
import { once } from "node:events"
import { mkdirSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { Effect } from "effect"
import { findS3Server } from "./binaries.ts"
import { attempt, folder } from "./RealServer.ts"
import { ServerProcess } from "./ServerProcess.ts"

/** A running server. */
export type S3Server = Effect.Success<ReturnType<typeof make>>

/** Its region, which requests must name. */
export const s3Region = "eu-central-7"

export const s3Keys = { accessKeyId: "AKIDTESTS3", secretAccessKey: "s3cr/et+of=tests" }

export interface S3Options {
  /** The buckets that exist; `metrics` by default. */
  readonly buckets?: ReadonlyArray<string>
  /** Serve HTTPS with this certificate. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string }
}

/** Runs the server until the scope closes. */
export const make = Effect.fnUntraced(function* ({ buckets = ["metrics"], tls }: S3Options = {}) {
  const program = yield* attempt(findS3Server)
  const path = yield* folder
  const data = join(path, "data")
  for (const made of [data, ...buckets.map((name) => join(data, name))]) mkdirSync(made)
  const server = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new ServerProcess({
          program,
          args: (port) => [
            ...["--port", `127.0.0.1:${port}`, "--region", s3Region, "--quiet", "--keep-alive"],
            ...(tls === undefined ? [] : ["--cert", tls.certPath, "--key", tls.keyPath]),
            // The versions of objects are extended attributes of their files: with its other way to keep them, an object and its
            // version are not read together.
            ...["posix", data]
          ],
          environment: { ROOT_ACCESS_KEY: s3Keys.accessKeyId, ROOT_SECRET_KEY: s3Keys.secretAccessKey },
          pathPrefix: "",
          isSecure: tls !== undefined,
          ready: async (baseUrl) => {
            const socket = connect(Number(new URL(baseUrl).port), "127.0.0.1")
            await once(socket, "connect").finally(() => socket.destroy())
            return true
          }
        })
    ),
    (server) => Effect.promise(() => server.stop())
  )
  yield* attempt((signal) => server.start(signal))
  return {
    /** Its address. */
    endpoint: server.baseUrl,
    /** The variables with which AWS' clients, and the program, use it. */
    environment: environmentOf(server.baseUrl),
    /** The files of its objects, by bucket and key. */
    data,
    server
  }
})

/** The variables with which AWS' clients use a server. */
export const environmentOf = (endpoint: string) => ({
  AWS_ENDPOINT_URL_S3: endpoint,
  AWS_REGION: s3Region,
  AWS_ACCESS_KEY_ID: s3Keys.accessKeyId,
  AWS_SECRET_ACCESS_KEY: s3Keys.secretAccessKey
})
