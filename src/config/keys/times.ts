/** Which times are read, and when. */
import * as kind from "../kinds.ts"
import { TEN_YEARS } from "./durations.ts"

/** The points of the time grid. */
export const rangeKeys = {
  start_date: kind.moment({
    title: "Start date",
    group: "selection",
    description: "Replicate data from this date or time (UTC).",
    isRequired: true,
    examples: ["2026-01-01", "2026-01-01T00:00:00Z"],
    flag: {
      name: "start",
      metavar: "DATE",
      description: "Read data from this date or time (UTC): 2026-01-01 or 2026-01-01T00:00:00Z"
    }
  }),
  step: kind.seconds({
    title: "Step",
    group: "selection",
    description: "Seconds between two data points of a series. An hour is 3600.",
    examples: [3600],
    isRequired: true,
    default: 3600,
    min: 1,
    max: TEN_YEARS,
    flag: {
      name: "step",
      metavar: "DURATION",
      description: "Time between two data points, such as 15s, 5m or 1h (default: 1h)"
    }
  }),
  sampling: kind.choice(["step", "raw"], {
    title: "Sampling",
    group: "selection",
    description:
      "step: one data point per step and series. raw: every sample that the server has stored, with its own time to the millisecond. The step then applies only to queries.",
    examples: ["raw"],
    default: "step",
    flag: {
      name: "sampling",
      metavar: "step|raw",
      description:
        "Read one data point per step (step, the default), or every stored sample with its own time (raw)"
    }
  }),
  end_date: kind.moment({
    title: "End date",
    group: "selection",
    description: "Replicate data up to this date or time (UTC). Leave empty to continue up to the present.",
    examples: ["2026-02-01", "2026-02-01T12:00:00Z"],
    flag: { name: "end", metavar: "DATE", description: "Stop at this date or time instead of the present" }
  })
}

/** How syncs treat late and recent samples. */
export const cursorKeys = {
  lookback_window: kind.seconds({
    title: "Lookback window",
    group: "tuning",
    description:
      "Seconds before its cursor that each incremental sync reads again, to include samples that arrived late.",
    examples: [3600],
    default: 0,
    min: 0,
    max: TEN_YEARS
  }),
  settle_delay: kind.seconds({
    title: "Settle delay",
    group: "tuning",
    description:
      "Data points younger than this many seconds, by the server's clock, are left for the next sync.",
    examples: [60],
    default: 60,
    min: 0,
    max: TEN_YEARS
  })
}
