/** Requests, answers and faults of the mock: what both transports, in-process and socket, have in common. */

/** A request as the mock sees it, whichever way it came. */
export interface MockRequest {
  readonly method: string
  /** The whole address, origin included, so that a mock can play several hosts. */
  readonly url: string
  /** The path as it was sent, not decoded. */
  readonly path: string
  /** The form's parameters, then those of the address: `get` answers what Prometheus would take. */
  readonly params: URLSearchParams
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
}

/** How an answer ends: whole, broken off, silent for ever, or with a connection broken before it began. */
export type Ending = "complete" | "cut" | "stall" | "reset"

/** What a transport has to send, as it is: no length, no encoding. */
export interface MockAnswer {
  /** How long to wait first; infinite for no answer at all. */
  readonly delayMs: number
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** To be read once; made while it is read. */
  readonly body: Iterable<Uint8Array>
  /** What happens after `body`. */
  readonly ending: Ending
}

/**
 * What goes wrong with one request. Fields combine; without `status`, `headers` and `body` the true answer is used.
 *
 * A fault with a `status` or a `body` replaces the answer: status 200, no headers but `Date` and an empty body unless given.
 */
export interface Fault {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Waits before answering; `Infinity` never answers. */
  readonly delayMs?: number
  /** Breaks the connection after that many bytes of the body. */
  readonly cutAfterBytes?: number
  /** Sends that many bytes of the body, then nothing more, with the connection open. */
  readonly stallAfterBytes?: number
  /** Breaks the connection instead of answering. */
  readonly reset?: boolean
}

/** Builds a request from what a transport has; `form` is the body if it was sent as a form. */
export const makeRequest = (
  method: string,
  url: URL,
  headers: Iterable<readonly [name: string, value: string]>,
  body: string
): MockRequest => {
  const byName = new Map<string, string>()
  for (const [name, value] of headers) byName.set(name.toLowerCase(), value)
  const isForm =
    method === "POST" &&
    (byName.get("content-type") ?? "").toLowerCase().startsWith("application/x-www-form-urlencoded")
  const params = new URLSearchParams(isForm ? body : "")
  for (const [name, value] of url.searchParams) params.append(name, value)
  return { method, url: url.href, path: url.pathname, params, headers: byName }
}

const encoder = new TextEncoder()

/** Encodes pieces of text into chunks of exactly `chunkBytes`, the last one shorter. */
export function* encodeChunks(pieces: Iterable<string>, chunkBytes: number): Generator<Uint8Array> {
  let pending = ""
  let rest = new Uint8Array(0)
  for (const piece of pieces) {
    pending += piece
    if (rest.length + pending.length < chunkBytes) continue
    rest = join(rest, encoder.encode(pending))
    pending = ""
    let offset = 0
    for (; offset + chunkBytes <= rest.length; offset += chunkBytes) {
      yield rest.subarray(offset, offset + chunkBytes)
    }
    rest = rest.slice(offset)
  }
  rest = join(rest, encoder.encode(pending))
  for (let offset = 0; offset < rest.length; offset += chunkBytes) {
    yield rest.subarray(offset, offset + chunkBytes)
  }
}

const join = (a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
  if (a.length === 0) return b
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
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
