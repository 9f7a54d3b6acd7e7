/** Measures the time from the first response to the first record. */
import { once } from "node:events"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import type { Command } from "./measure.ts"
import { firstRecordAt } from "./output.ts"

/** A proxy between the connector and a server. It notes when the first response to a range query begins. */
export interface Watcher {
  readonly baseUrl: string
  /** Runs the connector until its first record. Returns the seconds since that response began. */
  readonly secondsToFirstRecord: (read: Command) => Promise<number>
}

/** Starts a watcher, passes it to `use`, and stops it. */
export const withWatcher = async <A>(
  serverUrl: string,
  use: (watcher: Watcher) => Promise<A>
): Promise<A> => {
  let firstAnswerAt: number | undefined
  const proxy = createServer((incoming, outgoing) => {
    const { headers, method, url = "/" } = incoming
    const forwarded = request(`${serverUrl}${url}`, { method: method!, headers }, (response) => {
      if (url.startsWith("/api/v1/query_range")) firstAnswerAt ??= performance.now()
      outgoing.writeHead(response.statusCode!, response.headers)
      response.pipe(outgoing)
    })
    // The connector is killed after its first record, while it has requests in flight.
    outgoing.once("close", () => forwarded.destroy())
    forwarded.on("error", () => outgoing.destroy())
    incoming.pipe(forwarded)
  })
  proxy.listen(0, "127.0.0.1")
  await once(proxy, "listening")
  try {
    return await use({
      baseUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      secondsToFirstRecord: async (read) => {
        firstAnswerAt = undefined
        const recordAt = await firstRecordAt(read)
        if (firstAnswerAt === undefined)
          throw new Error("A record came before the response to any range query.")
        return (recordAt - firstAnswerAt) / 1000
      }
    })
  } finally {
    proxy.close()
    proxy.closeAllConnections()
  }
}
