/** The tables of a mock Prometheus in addition to its series, in the form of Prometheus' API. */
import { type LabelsInput, makeLabels } from "./MockLabels.ts"

/** Labels or annotations as an object. */
export type MockLabels = Readonly<Record<string, string>>

/** An active target. Times are RFC 3339. */
export interface MockTarget {
  readonly discoveredLabels: MockLabels
  readonly labels: MockLabels
  readonly scrapePool: string
  readonly scrapeUrl: string
  readonly globalUrl: string
  /** Empty if the last scrape succeeded. */
  readonly lastError: string
  readonly lastScrape: string
  /** In seconds. */
  readonly lastScrapeDuration: number
  readonly health: "up" | "down" | "unknown"
  readonly scrapeInterval: string
  readonly scrapeTimeout: string
}

/** An alert that is pending or firing. */
export interface MockAlert {
  readonly labels: MockLabels
  readonly annotations: MockLabels
  readonly state: "pending" | "firing"
  readonly activeAt: string
  readonly keepFiringSince?: string
  readonly value: string
}

/** A rule that records a metric. */
export interface MockRecordingRule {
  readonly name: string
  readonly query: string
  readonly labels?: MockLabels
  readonly health: "ok" | "err" | "unknown"
  readonly lastError?: string
  readonly evaluationTime: number
  readonly lastEvaluation: string
  readonly type: "recording"
}

/** A rule that alerts. */
export interface MockAlertingRule {
  readonly state: "inactive" | "pending" | "firing"
  readonly name: string
  readonly query: string
  /** In seconds. */
  readonly duration: number
  readonly keepFiringFor?: number
  readonly labels: MockLabels
  readonly annotations: MockLabels
  readonly alerts: ReadonlyArray<MockAlert>
  readonly health: "ok" | "err" | "unknown"
  readonly lastError?: string
  readonly evaluationTime: number
  readonly lastEvaluation: string
  readonly type: "alerting"
}

export interface MockRuleGroup {
  readonly name: string
  readonly file: string
  readonly rules: ReadonlyArray<MockRecordingRule | MockAlertingRule>
  /** In seconds. */
  readonly interval: number
  readonly limit: number
  readonly evaluationTime: number
  readonly lastEvaluation: string
}

/** An exemplar of a series. `seriesLabels` include `__name__`. */
export interface MockExemplar {
  readonly seriesLabels: LabelsInput
  readonly labels: MockLabels
  /** In Prometheus' format. */
  readonly value: string
  readonly timeMillis: number
}

/** All tables. Omitted ones are empty. */
export interface MockTables {
  readonly targets?: ReadonlyArray<MockTarget>
  readonly ruleGroups?: ReadonlyArray<MockRuleGroup>
  readonly exemplars?: ReadonlyArray<MockExemplar>
}

/** The alerts of all rules, which the API lists a second time. */
export const alertsOf = ({ ruleGroups = [] }: MockTables): ReadonlyArray<MockAlert> =>
  ruleGroups.flatMap(({ rules }) => rules.flatMap((rule) => (rule.type === "alerting" ? rule.alerts : [])))

/** The exemplars of each series in the order of time, by their series. */
export const exemplarsBySeries = ({ exemplars = [] }: MockTables) => {
  const bySeries = Map.groupBy(exemplars, ({ seriesLabels }) => JSON.stringify(makeLabels(seriesLabels)))
  return Array.from(bySeries.values(), (list) => ({
    labels: makeLabels(list[0]!.seriesLabels),
    exemplars: list.toSorted((a, b) => a.timeMillis - b.timeMillis)
  }))
}
