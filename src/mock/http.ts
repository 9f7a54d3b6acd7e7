/** Requests, responses and faults of the mock: common to both transports, in-process and socket. */

/** A request as the mock sees it, through either transport. */
export interface MockRequest {
  readonly method: string
  /** The complete address, origin included, so that a mock can play several hosts. */
  readonly url: string
  /** The path as it was sent, not decoded. */
  readonly path: string
  /** The form's parameters, then those of the address: `get` returns the one that Prometheus would use. */
  readonly params: URLSearchParams
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  /** The body, unless it is a form: the message of a remote read. */
  readonly body: Uint8Array
}

/** A response as a transport sends it: without length or encoding. */
export interface MockResponse {
  /** How long to wait first; `Infinity` for no response at all. */
  readonly delayMillis: number
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Generated while it is read, once. */
  readonly body: Iterable<Uint8Array>
  /** What happens after `body`: nothing, the connection breaks or stalls, or was reset before the response. */
  readonly ending: "complete" | "cut" | "stall" | "reset"
}

/**
 * The fault of one request. Fields can be combined. Without `status`, `headers` and `body`, the real response is used.
 *
 * A fault with a `status` or a `body` replaces the response: status 200, no headers but `Date` and an empty body unless given.
 */
export interface Fault {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Waits before the response; with `Infinity` there is none. */
  readonly delayMillis?: number
  /** Breaks the connection after that many bytes of the body. */
  readonly cutAfterBytes?: number
  /** Sends that many bytes of the body, then nothing more, with the connection open. */
  readonly stallAfterBytes?: number
  /** Resets the connection instead of a response. */
  readonly reset?: boolean
}

/** Builds a request from a transport's. */
export const makeRequest = (
  method: string,
  url: URL,
  headers: Iterable<readonly [name: string, value: string]>,
  body: string | Uint8Array
): MockRequest => {
  const byName = new Map<string, string>()
  for (const [name, value] of headers) byName.set(name.toLowerCase(), value)
  const isForm =
    method === "POST" &&
    (byName.get("content-type") ?? "").toLowerCase().startsWith("application/x-www-form-urlencoded")
  const bytes = Buffer.from(body)
  const params = new URLSearchParams(isForm ? bytes.toString("utf8") : "")
  for (const [name, value] of url.searchParams) params.append(name, value)
  return {
    method,
    url: url.href,
    path: url.pathname,
    params,
    headers: byName,
    body: isForm ? new Uint8Array(0) : bytes
  }
}

/** Encodes pieces of text or bytes into chunks of exactly `chunkBytes`, the last one shorter. */
export function* encodeChunks(
  pieces: Iterable<string | Uint8Array>,
  chunkBytes: number
): Generator<Uint8Array> {
  let text = ""
  let bytes = Buffer.alloc(0)
  const encode = () => {
    bytes = Buffer.concat([bytes, Buffer.from(text)])
    text = ""
  }
  for (const piece of pieces) {
    if (typeof piece === "string") text += piece
    else {
      encode()
      bytes = Buffer.concat([bytes, piece])
    }
    if (bytes.length + text.length < chunkBytes) continue
    encode()
    for (; bytes.length >= chunkBytes; bytes = bytes.subarray(chunkBytes)) {
      yield bytes.subarray(0, chunkBytes)
    }
  }
  encode()
  for (; bytes.length > 0; bytes = bytes.subarray(chunkBytes)) yield bytes.subarray(0, chunkBytes)
}

/** The first `bytes` bytes of a body. */
export function* takeBytes(body: Iterable<Uint8Array>, bytes: number): Generator<Uint8Array> {
  let left = bytes
  if (left <= 0) return
  for (const chunk of body) {
    yield chunk.subarray(0, left)
    left -= chunk.length
    if (left <= 0) return
  }
}
