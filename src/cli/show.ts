/** What a command for people answers, on standard output: a text for eyes, or JSON for programs. */
import { Effect } from "effect"
import { DestinationError } from "../destinations/Destination.ts"
import { dryRunJson, dryRunText } from "../report/dryRun.ts"
import { metricsTable } from "../report/metricsTable.ts"
import { summaryJson } from "../report/summaryJson.ts"
import { summaryText } from "../report/summaryTable.ts"
import type { DryRun } from "../run/estimate.ts"
import type { RunSummary } from "../run/Progress.ts"
import type { DiscoveredMetric } from "../sync/Discovery.ts"
import { appearanceOf, paintFor } from "../terminal/Appearance.ts"

/** Standard output as a place for tables: of any width if it is no terminal. */
const standardOutput = () => ({
  columns: process.stdout.isTTY === true ? process.stdout.columns || undefined : undefined,
  paint: paintFor(appearanceOf(process.env, process.stdout.isTTY === true))
})

export const showSummary = (run: RunSummary, isJson: boolean) =>
  print(isJson ? summaryJson(run) : `\n${summaryText(run, standardOutput())}`)

export const showDryRun = (dryRun: DryRun, isJson: boolean) =>
  print(isJson ? dryRunJson(dryRun) : dryRunText(dryRun, standardOutput()))

export const showMetrics = (metrics: ReadonlyArray<DiscoveredMetric>) =>
  print(metricsTable(metrics, standardOutput().columns))

/**
 * Prints to standard output, and fails where that cannot take it, such as on a full disk: the document that a program is
 * to read would be cut short. A reader that has gone, as after `| head`, has had what it wanted.
 */
const print = (text: string): Effect.Effect<void, DestinationError> =>
  Effect.callback((resume) => {
    // What the callback is told is an event as well, which nobody else listens to.
    const ignore = () => {}
    process.stdout.once("error", ignore)
    process.stdout.write(`${text}\n`, (error: NodeJS.ErrnoException | null | undefined) => {
      if (!error) process.stdout.removeListener("error", ignore)
      resume(
        !error || error.code === "EPIPE"
          ? Effect.void
          : Effect.fail(
              new DestinationError({
                message: `Standard output cannot be written: ${error.code ?? error.message}.`
              })
            )
      )
    })
  })
