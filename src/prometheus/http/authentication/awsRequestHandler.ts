/** Sends the requests of AWS' library over a `fetch`. */

/** A request of the library, whose signature covers its address as it is written here. */
interface LibraryRequest {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly port?: number | undefined
  readonly path: string
  readonly query?: Readonly<Record<string, string | ReadonlyArray<string> | null>>
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** Creates a handler. It reports what requests contain that is secret. */
export const awsRequestHandler = (fetch: typeof globalThis.fetch, addSecret: (secret: string) => void) => ({
  metadata: { handlerProtocol: "http/1.1" },
  handle: async (request: LibraryRequest, { abortSignal }: { readonly abortSignal?: unknown } = {}) => {
    const body = typeof request.body === "string" ? request.body : undefined
    const token = new URLSearchParams(body ?? "").get("WebIdentityToken")
    const secrets = [token, ...SECRET_HEADERS.map((name) => request.headers[name])]
    for (const secret of secrets) if (secret) addSecret(secret)
    const address = `${request.protocol}//${hostOf(request)}${request.path}${queryOf(request)}`
    const response = await fetch(address, {
      method: request.method,
      headers: request.headers,
      ...(body === undefined ? {} : { body }),
      ...(abortSignal instanceof AbortSignal ? { signal: abortSignal } : {})
    })
    return {
      response: {
        statusCode: response.status,
        headers: Object.fromEntries(response.headers),
        body: new Uint8Array(await response.arrayBuffer())
      }
    }
  },
  destroy: () => {},
  updateHttpClientConfig: () => {},
  httpHandlerConfigs: () => ({})
})

const SECRET_HEADERS = ["x-amz-security-token", "x-amz-sso_bearer_token"]

const hostOf = ({ hostname, port }: LibraryRequest): string =>
  port === undefined ? hostname : `${hostname}:${port}`

const queryOf = ({ query = {} }: LibraryRequest): string => {
  const params = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((value) => `${encodeURIComponent(name)}=${encodeURIComponent(value ?? "")}`)
  )
  return params.length === 0 ? "" : `?${params.join("&")}`
}
