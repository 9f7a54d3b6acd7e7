/**
 * The kinds of servers: what they are called, which parameters they take, which limits they have, and how they report missing
 * data. The table is for requests, messages and the documentation. Nothing is refused because of it.
 */
import type { BackendKind } from "../Backend.ts"
import type { StoredOddities } from "../query/storedBlocks.ts"

/** The parameters that make responses exact. Only some servers take each. */
export type ExactnessParam =
  | "timeout"
  | "partial_response"
  | "dedup"
  | "max_source_resolution"
  | "deny_partial_response"
  | "nocache"

/** What is known of a kind of server. */
export interface Profile {
  /** For people. */
  readonly name: string
  /** What its range queries take. */
  readonly rangeParams: ReadonlyArray<ExactnessParam>
  /** What its lists of labels and values take. */
  readonly listParams: ReadonlyArray<ExactnessParam>
  /** Its limits, by default. */
  readonly limits: string
  /** How it reports that data are missing. */
  readonly missingData: string
  /** Its lists may be cut without a word at these lengths. */
  readonly listLimits: ReadonlyArray<number>
  /** Whether it begins the range of a query later than requested, without a word, if it limits how far back queries look. */
  readonly mayMoveStart?: boolean
  /**
   * False if it has no remote read, or adds no external labels to its series. Those of a Prometheus are in its configuration.
   */
  readonly hasExternalLabels?: boolean
  /** What stored samples in a response to an instant query need. */
  readonly stored?: StoredOddities
  /** Whether the look-back of a selector depends on the query, so that a rollup with a fixed window is needed. */
  readonly isRollup?: boolean
}

const allParams: ReadonlyArray<ExactnessParam> = [
  "timeout",
  "partial_response",
  "dedup",
  "max_source_resolution",
  "deny_partial_response",
  "nocache"
]

const prometheus: Profile = {
  name: "Prometheus",
  rangeParams: ["timeout"],
  listParams: [],
  limits: "11,000 points per series; 50 million samples and 2 minutes per query",
  missingData: "warnings, if it also reads from other servers (remote read)",
  listLimits: []
}

const victoriaMetrics: Profile = {
  name: "VictoriaMetrics",
  rangeParams: ["timeout", "nocache"],
  listParams: [],
  limits: "30,000 points per series; 300,000 series and 30 seconds per query",
  missingData: "not at all; lists end at -search.maxTagValues and -search.maxLabelsAPISeries",
  listLimits: [100_000, 1_000_000],
  stored: { hasRepeatedTimes: true },
  hasExternalLabels: false,
  isRollup: true
}

const mimir: Profile = {
  name: "Grafana Mimir",
  rangeParams: ["timeout"],
  listParams: [],
  limits:
    "per tenant: the length of a query, series, chunks and bytes per query; earlier times than the tenant's look-back are cut off",
  missingData: "errors for queries; ranges of label queries are clamped without a word",
  listLimits: [],
  mayMoveStart: true,
  hasExternalLabels: false
}

/** Or another release before 3. */
const prometheus2: Profile = { ...prometheus, stored: { mixesHistograms: true } }

/** One entry per kind. */
export const profiles: Readonly<Record<BackendKind, Profile>> = {
  prometheus: prometheus2,
  prometheus2,
  prometheus3: prometheus,
  victoriaMetrics,
  victoriaMetricsCluster: {
    ...victoriaMetrics,
    name: "VictoriaMetrics cluster",
    rangeParams: ["timeout", "nocache", "deny_partial_response"],
    listParams: ["deny_partial_response"],
    missingData: "isPartial"
  },
  thanos: {
    name: "Thanos",
    rangeParams: ["timeout", "partial_response", "dedup", "max_source_resolution"],
    listParams: ["partial_response"],
    limits: "those of its stores: series and samples per request; 2 minutes per query",
    missingData: "warnings; a store that was away for some seconds only in /api/v1/stores",
    hasExternalLabels: false,
    listLimits: []
  },
  mimir,
  cortex: { ...mimir, name: "Cortex" },
  grafanaCloud: { ...mimir, name: "Grafana Cloud" },
  amazon: {
    ...mimir,
    name: "Amazon Managed Service for Prometheus",
    limits: "32 days, 50 million samples and 12 million series per query, 95 days of look-back"
  },
  google: {
    name: "Google Managed Service for Prometheus",
    rangeParams: ["timeout"],
    listParams: [],
    limits: "one exact metric name per query; queries and bytes per project",
    missingData: "warnings; unknown parameters are refused",
    hasExternalLabels: false,
    listLimits: [10_000]
  },
  azure: {
    name: "Azure Monitor managed service for Prometheus",
    rangeParams: ["timeout"],
    listParams: [],
    limits: "exactly one metric name and 32 days per query",
    missingData: "errors",
    hasExternalLabels: false,
    listLimits: []
  },
  m3: {
    name: "M3",
    rangeParams: allParams,
    listParams: [],
    limits: "series and documents per query",
    missingData: "headers such as M3-Results-Limited",
    listLimits: [10_000]
  },
  unknown: {
    name: "unknown",
    rangeParams: allParams,
    listParams: ["partial_response", "deny_partial_response"],
    limits: "not known",
    missingData: "any of the above",
    listLimits: [1000, 10_000, 30_000, 100_000, 1_000_000],
    mayMoveStart: true,
    stored: { mixesHistograms: true }
  }
}
