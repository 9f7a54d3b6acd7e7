/** The endpoints of Prometheus' tables. See `api.ts` for the two halves of an endpoint. */
import { Schema } from "effect"
import { hasLabel, type Matcher, render } from "../../promql/Matcher.ts"
import { METRIC_NAME } from "../../samples/Series.ts"
import type { Row } from "../../samples/TableRow.ts"
import {
  apiRequest,
  type Endpoint,
  type Exactness,
  endpoint,
  exactRange,
  listOptions,
  MEBIBYTE
} from "../api.ts"
import type { ApiRequest } from "../http/ApiRequest.ts"
import type { Bounds } from "../http/BoundedText.ts"
import type { TimeRange } from "../RangeQuery.ts"
import {
  alertRows,
  exemplarRows,
  type Json,
  metadataRows,
  objectsIn,
  ruleRows,
  type Snapshot,
  targetRows
} from "./rows.ts"
import type { SnapshotName } from "./schemas.ts"

/** Hundreds of thousands of rows. */
const bounds: Bounds = { bytes: 256 * MEBIBYTE, depth: 32, containers: 4_000_000 }

/**
 * The server has responded to other requests with the same credentials. So it does not have this endpoint, or does not let them read
 * it: the table may have rows.
 */
const statusReasons = {
  403: "Forbidden",
  404: "NoTableApi",
  405: "NoTableApi",
  410: "NoTableApi",
  501: "NoTableApi"
} as const

const snapshotRequest = (path: string, params: ApiRequest["params"], exactness: Exactness): ApiRequest => ({
  ...apiRequest(path, params, { ...listOptions(exactness), takesForm: false }),
  statusReasons
})

/** Lists may be null, and their items may have any form. */
const List = Schema.NullOr(Schema.Array(Schema.Unknown))

type Snapshots = Readonly<
  Record<SnapshotName, (snapshot: Snapshot, exactness: Exactness) => Endpoint<ReadonlyArray<Row>>>
>

/** The tables that show the server's present state. */
export const snapshots: Snapshots = {
  targets: (snapshot, exactness) =>
    endpoint(
      snapshotRequest("/api/v1/targets", { state: "active" }, exactness),
      bounds,
      Schema.Struct({ activeTargets: List }),
      ({ activeTargets }) => targetRows(objectsIn(activeTargets), snapshot)
    ),
  rules: (snapshot, exactness) =>
    endpoint(
      snapshotRequest("/api/v1/rules", {}, exactness),
      bounds,
      Schema.Struct({ groups: List }),
      ({ groups }) => ruleRows(objectsIn(groups), snapshot)
    ),
  alerts: (snapshot, exactness) =>
    endpoint(
      snapshotRequest("/api/v1/alerts", {}, exactness),
      bounds,
      Schema.Struct({ alerts: List }),
      ({ alerts }) => alertRows(objectsIn(alerts), snapshot)
    ),
  metadata: (snapshot, exactness) =>
    endpoint(
      snapshotRequest("/api/v1/metadata", {}, exactness),
      bounds,
      Schema.Record(Schema.String, Schema.Unknown),
      (families) => metadataRows(families, snapshot)
    )
}

/** Which exemplars to read. */
export interface ExemplarQuery {
  /** The times of the first and the last one, both included. */
  readonly range: TimeRange
  /** The series, or all of them. */
  readonly matchers: ReadonlyArray<Matcher>
  readonly excludedLabels: ReadonlySet<string>
  /** Selects metrics by name. */
  readonly isIncluded: (metric: string) => boolean
}

/** The exemplars of a range. Other exemplars in the response are left out. */
export const exemplars = (
  { excludedLabels, isIncluded, matchers, range }: ExemplarQuery,
  exactness: Exactness
): Endpoint<ReadonlyArray<readonly [timeMillis: number, row: Row]>> =>
  endpoint(
    {
      ...apiRequest(
        "/api/v1/query_exemplars",
        {
          // Servers refuse a selector whose matchers all match the empty string.
          query: render([hasLabel(METRIC_NAME), ...matchers]),
          ...exactRange(range)
        },
        listOptions(exactness)
      ),
      statusReasons
    },
    bounds,
    List,
    (series) =>
      exemplarRows(objectsIn(series) as ReadonlyArray<Json>, excludedLabels, isIncluded).filter(
        ([time]) => time >= range.startMillis && time <= range.endMillis
      )
  )
