/** Identifies a server by what it responds. */
import { type Backend, type BackendKind, DEFAULT_LOOKBACK_MILLIS, type Lookback } from "../Backend.ts"
import { profiles } from "./profiles.ts"

/** What `/api/v1/status/buildinfo` says. */
export interface BuildInfo {
  readonly version?: string | undefined
  readonly application?: string | undefined
  /** Every Prometheus has it, and no VictoriaMetrics. */
  readonly goVersion?: string | undefined
}

/** What is known of a server. All of it is optional, and more may come with each response. */
export interface Evidence {
  readonly baseUrl: string
  /** Whether requests name a tenant. */
  readonly hasTenant: boolean
  /** Whether requests are signed for Amazon's service, which no other server accepts. */
  readonly isSignedForAmazon: boolean
  /** Lower-case names of headers of any response. */
  readonly headers: ReadonlySet<string>
  /** Members of the JSON of any response, and of its `data`. */
  readonly members: ReadonlySet<string>
  /** It refused a parameter in the words of Google's front end. */
  readonly refusesAsGoogle: boolean
  /** A response of a query had a warning about missing data. */
  readonly lacksData: boolean
  /** Undefined: not known. Null: the endpoint does not exist. */
  readonly buildInfo: BuildInfo | null | undefined
  /** Whether `/api/v1/stores` works. */
  readonly hasStores: boolean
  /** `/api/v1/status/flags`. */
  readonly flags: Readonly<Record<string, string>> | undefined
  /** How it evaluates `default_rollup`, if it was asked: see `Api.rollup`. */
  readonly rollup: "fixed" | "growing" | "none" | undefined
}

const kindOfHost = ({ hostname }: URL): BackendKind | undefined => {
  // Private endpoints have a name of their own in front.
  if (/(^|\.)aps-workspaces(-fips)?\..+\.(amazonaws\.com(\.cn)?|api\.aws)$/.test(hostname)) return "amazon"
  if (/(^|\.)monitoring\.googleapis\.com$/.test(hostname)) return "google"
  if (/\.prometheus\.monitor\.azure\.(com|us|cn)$/.test(hostname)) return "azure"
  return /\.grafana(-ops)?\.net$/.test(hostname) ? "grafanaCloud" : undefined
}

/** Whether the address alone says what the server is. */
export const isKnownHost = (baseUrl: string): boolean => kindOfHost(new URL(baseUrl)) !== undefined

/**
 * The kind of server. Evidence that only one kind has comes first: a proxy in front of several servers may pass
 * `buildinfo` to a Prometheus.
 */
export const kindOf = (evidence: Evidence): BackendKind => {
  const { buildInfo, headers, members } = evidence
  const url = new URL(evidence.baseUrl)
  const host = kindOfHost(url)
  if (host !== undefined) return host
  if (evidence.refusesAsGoogle) return "google"
  const isCluster = members.has("isPartial") || /\/select\/[^/]+\/prometheus$/.test(url.pathname)
  if (headers.has("x-server-hostname") || isCluster) {
    return isCluster ? "victoriaMetricsCluster" : "victoriaMetrics"
  }
  if (evidence.hasStores || members.has("analysis")) return "thanos"
  if ([...headers].some((name) => name.startsWith("m3-"))) return "m3"
  if (evidence.isSignedForAmazon && (buildInfo === null || buildInfo === undefined)) return "amazon"
  if (buildInfo === null) {
    return evidence.hasTenant || url.pathname.endsWith("/api/prom") ? "cortex" : "unknown"
  }
  if (buildInfo === undefined) return "unknown"
  const { application = "", goVersion = "", version = "" } = buildInfo
  if (/mimir|enterprise metrics/i.test(application)) return "mimir"
  if (/cortex/i.test(application)) return "cortex"
  if (/thanos/i.test(application) || /^0\./.test(version)) return "thanos"
  if (goVersion === "" && (version === "" || version === "2.24.0")) return "victoriaMetrics"
  // Prometheus itself never lacks data in a query, unless other servers are behind it.
  if (evidence.lacksData) return "unknown"
  if (/^2\./.test(version)) return "prometheus2"
  if (/^3\./.test(version)) return "prometheus3"
  if (version !== "") return "unknown"
  // A Prometheus that was built without a version.
  return evidence.flags?.["auto-gomaxprocs"] === undefined ? "prometheus" : "prometheus3"
}

/** VictoriaMetrics always reports the version of an old Prometheus. */
const shownVersion = (kind: BackendKind, { buildInfo, flags }: Evidence): string => {
  const version = /^\d[\w.+~-]{0,40}/.exec(buildInfo?.version ?? "")?.[0]
  if (kind === "prometheus3" && version === undefined && flags !== undefined) return " 3"
  const hasOwn = ["prometheus", "prometheus2", "prometheus3", "mimir", "cortex"].includes(kind)
  const isOwn = hasOwn || (kind === "thanos" && version?.startsWith("0."))
  return isOwn && version !== undefined ? ` ${version}` : ""
}

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000
}

/** A duration such as `5m`, `1h30m` or `1.5s`, as Go and Prometheus write them. */
export const parseGoDuration = (text: string): number | undefined => {
  if (text.length > 40 || !/^(\d+(\.\d+)?(ms|[smhdwy]))+$/.test(text)) return undefined
  let millis = 0
  for (const [, number = "", unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwy])/g)) {
    millis += Number(number) * units[unit]!
  }
  return Math.round(millis)
}

/** A longer look-back is a mistake, or not the server's. */
const MAX_LOOKBACK_MILLIS = 7 * 86_400_000

/** Undefined if the server does not say. */
const lookbackOf = ({ flags }: Evidence): number | undefined => {
  const millis = parseGoDuration(flags?.["query.lookback-delta"] ?? "")
  return millis === undefined || millis <= 0 || millis > MAX_LOOKBACK_MILLIS ? undefined : millis
}

/** The rule of Prometheus 2 and 3. A build without a version may be either. */
const ruleOf = (kind: BackendKind, evidence: Evidence): Lookback | undefined => {
  const lookbackMillis = lookbackOf(evidence)
  if (lookbackMillis === undefined || (kind !== "prometheus2" && kind !== "prometheus3")) return undefined
  return { lookbackMillis, isLeftOpen: kind === "prometheus3" }
}

/**
 * VictoriaMetrics estimates the look-back of a selector from the intervals of the samples that one query reads, so that rows
 * would depend on the windows. `default_rollup` with a fixed window returns what Prometheus does: the latest sample of the last
 * five minutes, with the metric's name, and nothing after a stale marker. Where the window is extended all the same, points
 * without a sample in five minutes are left out; that reads the samples twice.
 */
const latestInFiveMinutes = {
  fixed: (selector: string): string => `default_rollup(${selector}[5m])`,
  growing: (selector: string): string => `default_rollup(${selector}[5m]) if count_over_time(${selector}[5m])`
}

/** The server, as far as the evidence says. */
export const identify = (evidence: Evidence): Backend => {
  const kind = kindOf(evidence)
  const { isRollup, listLimits, mayMoveStart = false, name } = profiles[kind]
  const common = { kind, name: name + shownVersion(kind, evidence), listLimits, mayMoveStart }
  // A proxy may add what only VictoriaMetrics has to the responses of another server.
  const rollup = evidence.rollup ?? (evidence.headers.has("x-server-hostname") ? "growing" : "none")
  return isRollup === true && rollup !== "none"
    ? // The window is fixed, so that the server's own setting does not count.
      {
        ...common,
        lookbackMillis: DEFAULT_LOOKBACK_MILLIS,
        lookback: undefined,
        latestSample: latestInFiveMinutes[rollup]
      }
    : {
        ...common,
        lookbackMillis: lookbackOf(evidence) ?? DEFAULT_LOOKBACK_MILLIS,
        lookback: ruleOf(kind, evidence),
        latestSample: (selector) => selector
      }
}
