/** Rows from the responses of servers. Servers omit different members: a missing one is null in a row. */
import { Predicate } from "effect"
import type { Labels } from "../../samples/Sample.ts"
import { canonicalLabels, METRIC_NAME, seriesId } from "../../samples/Series.ts"
import { type Cell, type Row, recordId } from "../../samples/TableRow.ts"
import { formatTime } from "../../text/formatTime.ts"

/** An object of a response. */
export type Json = Readonly<Record<string, unknown>>

/** What all rows of a snapshot share. */
export interface Snapshot {
  readonly timeMillis: number
  /** Labels that are left out. */
  readonly excludedLabels: ReadonlySet<string>
}

/** The objects of a list; a missing list has none. */
export const objectsIn = (value: unknown): ReadonlyArray<Json> =>
  Array.isArray(value) ? value.filter((item): item is Json => Predicate.isObject(item)) : []

const textOf = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null)

/** Some servers write numbers as texts. */
const numberOf = (value: unknown): number | null => {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value
  return typeof number === "number" && Number.isFinite(number) ? number : null
}

/** Before the year 10000. A later time, for example one in nanoseconds, may not even be a date. */
const isWritable = (millis: number): boolean => millis < Date.UTC(10_000, 0)

/** Go writes an unset time as the year 1. */
const timeOf = (value: unknown): string | null => {
  const millis = typeof value === "string" ? Date.parse(value) : Number.NaN
  return millis > 0 && isWritable(millis) ? formatTime(millis) : null
}

/** The columns `value` and `special_value`. The text of a value becomes the shortest digits of the same float. */
const valueOf = (
  value: unknown
): { readonly value: number | null; readonly special_value: string | null } => {
  const number = numberOf(value)
  if (number !== null) return { value: number, special_value: null }
  const text = textOf(value) ?? ""
  if (/^nan$/i.test(text)) return { value: null, special_value: "NaN" }
  const [, sign] = /^([+-]?)inf(inity)?$/i.exec(text) ?? []
  return { value: null, special_value: sign === undefined ? null : sign === "-" ? "-Inf" : "+Inf" }
}

/** Labels in canonical order. They may have any names, such as `__proto__`. */
const labelsOf = (value: unknown): Labels =>
  canonicalLabels(
    Predicate.isObject(value)
      ? Object.entries(value).filter((label): label is [string, string] => typeof label[1] === "string")
      : []
  )

/** Labels as an object, without some. */
const objectOf = (labels: Labels, excluded: ReadonlySet<string>, without?: string): Cell =>
  Object.fromEntries(labels.filter(([name]) => name !== without && !excluded.has(name)))

/** The same without anything to exclude, or null if there are none: for annotations. */
const annotationsOf = (value: unknown): Cell => {
  const labels = labelsOf(value)
  return labels.length === 0 ? null : Object.fromEntries(labels)
}

/**
 * Makes the key of each row from what identifies it. If a server returns something twice, each copy gets its own key, so that none
 * is lost.
 */
export class Keys {
  private readonly seen = new Map<string, number>()

  of(identity: ReadonlyArray<unknown>): string {
    const id = recordId(identity)
    const count = (this.seen.get(id) ?? 0) + 1
    this.seen.set(id, count)
    return count === 1 ? id : recordId([...identity, count])
  }
}

const snapshotKey = (keys: Keys, identity: ReadonlyArray<unknown>, { timeMillis }: Snapshot) => ({
  record_id: keys.of(identity),
  time: formatTime(timeMillis)
})

export const targetRows = (targets: ReadonlyArray<Json>, snapshot: Snapshot): ReadonlyArray<Row> => {
  const keys = new Keys()
  return targets.map((target) => {
    const labels = labelsOf(target.labels)
    const pool = textOf(target.scrapePool)
    const url = textOf(target.scrapeUrl)
    return {
      ...snapshotKey(keys, [pool, url, labels], snapshot),
      scrape_pool: pool,
      scrape_url: url,
      global_url: textOf(target.globalUrl),
      health: textOf(target.health),
      last_error: textOf(target.lastError),
      last_scrape: timeOf(target.lastScrape),
      last_scrape_duration_seconds: numberOf(target.lastScrapeDuration),
      scrape_interval: textOf(target.scrapeInterval),
      scrape_timeout: textOf(target.scrapeTimeout),
      labels: objectOf(labels, snapshot.excludedLabels),
      discovered_labels: objectOf(labelsOf(target.discoveredLabels), snapshot.excludedLabels)
    }
  })
}

export const ruleRows = (groups: ReadonlyArray<Json>, snapshot: Snapshot): ReadonlyArray<Row> => {
  const keys = new Keys()
  return groups.flatMap((group) =>
    objectsIn(group.rules).map((rule) => {
      const [file, name, type] = [textOf(group.file), textOf(group.name), textOf(rule.type)]
      const labels = labelsOf(rule.labels)
      const isAlerting = type === "alerting"
      return {
        ...snapshotKey(
          keys,
          [
            file,
            name,
            type,
            textOf(rule.name),
            textOf(rule.query),
            labels,
            isAlerting ? rule.duration : null
          ],
          snapshot
        ),
        rule_group: name,
        file,
        type,
        name: textOf(rule.name),
        query: textOf(rule.query),
        state: textOf(rule.state),
        health: textOf(rule.health),
        last_error: textOf(rule.lastError),
        duration_seconds: numberOf(rule.duration),
        keep_firing_for_seconds: numberOf(rule.keepFiringFor),
        active_alerts: isAlerting ? objectsIn(rule.alerts).length : null,
        labels: objectOf(labels, snapshot.excludedLabels),
        annotations: annotationsOf(rule.annotations),
        last_evaluation: timeOf(rule.lastEvaluation),
        evaluation_time_seconds: numberOf(rule.evaluationTime),
        group_interval_seconds: numberOf(group.interval)
      }
    })
  )
}

export const alertRows = (alerts: ReadonlyArray<Json>, snapshot: Snapshot): ReadonlyArray<Row> => {
  const keys = new Keys()
  return alerts.map((alert) => {
    const labels = labelsOf(alert.labels)
    return {
      ...snapshotKey(keys, [labels], snapshot),
      name: labels.find(([name]) => name === "alertname")?.[1] ?? textOf(alert.name),
      state: textOf(alert.state),
      active_at: timeOf(alert.activeAt),
      keep_firing_since: timeOf(alert.keepFiringSince),
      ...valueOf(alert.value),
      labels: objectOf(labels, snapshot.excludedLabels),
      annotations: annotationsOf(alert.annotations)
    }
  })
}

export const metadataRows = (
  families: Readonly<Record<string, unknown>>,
  snapshot: Snapshot
): ReadonlyArray<Row> => {
  const keys = new Keys()
  return Object.entries(families).flatMap(([metric, entries]) =>
    objectsIn(entries).map((entry) => {
      const [type, help, unit] = [textOf(entry.type), textOf(entry.help), textOf(entry.unit)]
      return { ...snapshotKey(keys, [metric, type, help, unit], snapshot), metric, type, help, unit }
    })
  )
}

/**
 * The exemplars of a response, with their times in milliseconds. Of several with the same key and time, the last one wins.
 * `isIncluded` selects metrics.
 */
export const exemplarRows = (
  series: ReadonlyArray<Json>,
  excludedLabels: ReadonlySet<string>,
  isIncluded: (metric: string) => boolean
): ReadonlyArray<readonly [timeMillis: number, row: Row]> => {
  const rows = new Map<string, readonly [timeMillis: number, row: Row]>()
  for (const { exemplars, seriesLabels } of series) {
    const labels = labelsOf(seriesLabels)
    const metric = labels.find(([name]) => name === METRIC_NAME)?.[1] ?? ""
    if (!isIncluded(metric)) continue
    const shared = {
      metric: metric === "" ? null : metric,
      series_id: seriesId(labels),
      labels: objectOf(labels, excludedLabels, METRIC_NAME)
    }
    for (const exemplar of objectsIn(exemplars)) {
      const seconds = numberOf(exemplar.timestamp)
      if (seconds === null) continue
      const own = labelsOf(exemplar.labels)
      const timeMillis = Math.round(seconds * 1000)
      if (timeMillis < 0 || !isWritable(timeMillis)) continue
      const id = recordId([labels, own])
      rows.set(`${id} ${timeMillis}`, [
        timeMillis,
        {
          record_id: id,
          time: formatTime(timeMillis),
          ...valueOf(exemplar.value),
          ...shared,
          exemplar_labels: objectOf(own, excludedLabels)
        }
      ])
    }
  }
  return Array.from(rows.values())
}
