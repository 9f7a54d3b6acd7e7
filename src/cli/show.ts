/** The results of interactive commands, on standard output: text for people, or JSON for programs. */
import { Effect } from "effect"
import { DestinationError } from "../destinations/Destination.ts"
import { dryRunJson, dryRunText } from "../report/dryRun.ts"
import { metricsTable } from "../report/metricsTable.ts"
import { summaryJson } from "../report/summaryJson.ts"
import { summaryText } from "../report/summaryTable.ts"
import type { DryRun } from "../run/estimate.ts"
import type { RunSummary } from "../run/Progress.ts"
import type { DiscoveredStream } from "../sync/Discovery.ts"
import { appearanceOf, paintFor } from "../terminal/Appearance.ts"
import { print } from "./stdout.ts"

/** The layout of tables on standard output. Without a terminal their width is not limited. */
const standardOutput = () => {
  const { columns, isTTY } = process.stdout
  return {
    columns: (isTTY && columns) || Infinity,
    paint: paintFor(appearanceOf(process.env, isTTY === true))
  }
}

export const showSummary = (run: RunSummary, isJson: boolean) =>
  show(isJson ? summaryJson(run) : `\n${summaryText(run, standardOutput())}`)

export const showDryRun = (dryRun: DryRun, isJson: boolean) =>
  show(isJson ? dryRunJson(dryRun) : dryRunText(dryRun, standardOutput()))

export const showMetrics = (metrics: ReadonlyArray<DiscoveredStream>) =>
  show(metricsTable(metrics, standardOutput().columns))

const show = (text: string): Effect.Effect<void, DestinationError> =>
  Effect.mapError(print(text), (message) => new DestinationError({ message }))
