/** Which proxy is used for a server: that of the configuration, or that of the usual environment variables. */
import { BlockList, isIP } from "node:net"
import { Option, Redacted, Result } from "effect"
import type { Settings } from "../../config/ConnectorConfig.ts"

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A proxy. */
export interface Proxy {
  readonly protocol: "http:" | "https:"
  readonly host: string
  readonly port: number
  /** Its address without credentials, for messages. */
  readonly address: string
  /** The value of `Proxy-Authorization`. */
  readonly authorization: string | undefined
  /** The key or the environment variable that it comes from. */
  readonly source: string
}

/** The address of a server, as a host without brackets. */
export interface Server {
  readonly protocol: "http:" | "https:"
  readonly host: string
  readonly port: number
}

/** The proxy for a server, if any. It fails with what is wrong with its configuration, as a sentence. */
export type ProxyChoice = (server: Server) => Result.Result<Proxy | undefined, string>

/** The proxies that the settings and the environment say. `proxy_url` is for all servers, whatever NO_PROXY is. */
export const proxyChoice = (
  { proxyUrl }: Pick<Settings, "proxyUrl">,
  environment: Environment
): ProxyChoice => {
  if (Option.isSome(proxyUrl)) {
    const proxy = parseProxy(Redacted.value(proxyUrl.value), "proxy_url")
    return () => proxy
  }
  const variables = proxyVariables(environment)
  const proxies = {
    "http:": variables.http && parseProxy(variables.http.value, variables.http.name),
    "https:": variables.https && parseProxy(variables.https.value, variables.https.name)
  }
  const isExcluded = exclusion(environment.no_proxy || environment.NO_PROXY || "")
  return (server) => {
    const proxy = proxies[server.protocol]
    return proxy === undefined || isExcluded(server) ? Result.succeed(undefined) : proxy
  }
}

/** The server at an address. Undefined if it is not one of HTTP. */
export const serverAt = (address: string): Server | undefined => {
  const { hostname, port, protocol } = URL.parse(address) ?? {}
  return hostname !== undefined && (protocol === "http:" || protocol === "https:")
    ? { protocol, host: withoutBrackets(hostname), port: portOf(port ?? "", protocol) }
    : undefined
}

/** What is secret in the address of a proxy, in all forms in which it occurs. */
export const proxySecrets = (
  { proxyUrl }: Pick<Settings, "proxyUrl">,
  environment: Environment
): ReadonlyArray<string> => {
  const { http, https } = proxyVariables(environment)
  const addresses = [Option.getOrUndefined(Option.map(proxyUrl, Redacted.value)), http?.value, https?.value]
  return [...new Set(addresses.flatMap((address) => (address === undefined ? [] : secretsOf(address))))]
}

const secretsOf = (address: string): ReadonlyArray<string> => {
  const url = parseUrl(address)
  // What precedes an @ may be a password, even if the address is not valid.
  const before = /^(?:[a-z][a-z0-9+.-]*:\/\/)?(.*)@/is.exec(address.trim())?.[1] ?? ""
  if (before === "") return []
  const [, written = ""] = /^[^:]*:(.*)$/s.exec(before) ?? []
  if (url === undefined) return [before, written]
  const { password, username } = url
  const secret = password === "" ? username : password
  return [
    before,
    written,
    secret,
    decoded(secret),
    authorizationOf(url)?.replace(/^Basic /, "") ?? ""
  ].filter((text) => text !== "")
}

/** A variable that is set. */
interface Variable {
  readonly name: string
  readonly value: string
}

const proxyVariables = (environment: Environment) => {
  const first = (...names: ReadonlyArray<string>): Variable | undefined => {
    const name = names.find((name) => (environment[name] ?? "").trim() !== "")
    return name === undefined ? undefined : { name, value: environment[name] ?? "" }
  }
  // In lower case first, as in curl and Node.
  return { http: first("http_proxy", "HTTP_PROXY"), https: first("https_proxy", "HTTPS_PROXY") }
}

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i

/** An address without a scheme, such as `proxy.example.com:3128`, is one of http. */
const parseUrl = (address: string): URL | undefined => {
  const trimmed = address.trim()
  return URL.parse(SCHEME.test(trimmed) ? trimmed : `http://${trimmed}`) ?? undefined
}

const accepted =
  "the http or https URL of a proxy, such as http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128"

const parseProxy = (address: string, source: string): Result.Result<Proxy, string> => {
  const url = parseUrl(address)
  if (url === undefined || url.hostname === "") {
    return Result.fail(
      `${source} must be ${accepted} (its value is not shown). Write special characters of the user and the password as %40, for example, for @.`
    )
  }
  const { hostname, port, protocol } = url
  if (protocol !== "http:" && protocol !== "https:") {
    return Result.fail(
      `${source} names a proxy of the kind ${protocol}//, which is not supported: it must be ${accepted}.`
    )
  }
  const number = portOf(port, protocol)
  return Result.succeed({
    protocol,
    host: withoutBrackets(hostname),
    port: number,
    address: `${protocol}//${hostname}:${number}`,
    authorization: authorizationOf(url),
    source
  })
}

const authorizationOf = ({ password, username }: URL): string | undefined =>
  username === "" && password === ""
    ? undefined
    : `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64")}`

/** A percent sign that encodes nothing stands for itself. */
const decoded = (text: string): string =>
  Result.getOrElse(
    Result.try(() => decodeURIComponent(text)),
    () => text
  )

const portOf = (port: string, protocol: string): number =>
  port === "" ? (protocol === "https:" ? 443 : 80) : Number(port)

const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")

/**
 * Whether NO_PROXY excludes a server: by `*`, a name, which stands for all names below it too, an address, a range of addresses,
 * or one of these with a port. curl, Go and Python read it like this.
 */
const exclusion = (noProxy: string): ((server: Server) => boolean) => {
  const entries = noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .map(parseEntry)
  return ({ host, port }) => {
    const name = host.toLowerCase().replace(/\.$/, "")
    return entries.some((entry) => (entry.port === undefined || entry.port === port) && entry.matches(name))
  }
}

interface Entry {
  readonly matches: (host: string) => boolean
  readonly port?: number
}

const parseEntry = (entry: string): Entry => {
  if (entry === "*") return { matches: () => true }
  const range = addressRange(entry)
  if (range !== undefined) return { matches: (host) => isIP(host) !== 0 && range.check(host, family(host)) }
  const [, bracketed, name = bracketed ?? "", port] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? []
  return { matches: nameMatch(name), ...(port === undefined ? {} : { port: Number(port) }) }
}

const nameMatch = (entry: string): ((host: string) => boolean) => {
  if (isIP(entry) !== 0) {
    const address = addressRange(entry)
    return (host) => isIP(host) !== 0 && address?.check(host, family(host)) === true
  }
  const below = entry.replace(/^\*?\./, "").replace(/\.$/, "")
  if (below === "") return () => false
  return (host) =>
    (host === below && !entry.startsWith("*.")) || (isIP(host) === 0 && host.endsWith(`.${below}`))
}

/** The addresses of an entry such as `10.0.0.0/8`, `10.0.0.1-10.0.0.9` or `::1`. */
const addressRange = (entry: string): BlockList | undefined => {
  const [, network = "", bits] = /^(.*)\/(\d+)$/.exec(entry) ?? []
  const [, first = entry, last = first] = /^([^-]*)-([^-]*)$/.exec(entry) ?? []
  const list = new BlockList()
  return Result.getOrUndefined(
    Result.try(() => {
      if (bits !== undefined && isIP(network) !== 0) list.addSubnet(network, Number(bits), family(network))
      else if (isIP(first) !== 0 && isIP(last) !== 0) list.addRange(first, last, family(first))
      else return undefined
      return list
    })
  )
}

const family = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4")
