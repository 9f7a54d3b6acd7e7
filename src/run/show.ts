/** What a command for people answers, on standard output: a text for eyes, or JSON for programs. */
import { Console } from "effect"
import { appearanceOf, paintFor } from "./display/Appearance.ts"
import { type DryRun, dryRunJson, dryRunText } from "./display/dryRun.ts"
import { summaryJson } from "./display/summaryJson.ts"
import { summaryText } from "./display/summaryTable.ts"
import type { RunSummary } from "./Progress.ts"

/** Standard output as a place for tables: of any width if it is no terminal. */
const standardOutput = () => ({
  columns: process.stdout.isTTY === true ? process.stdout.columns || undefined : undefined,
  paint: paintFor(appearanceOf(process.env, process.stdout.isTTY === true))
})

export const showSummary = (run: RunSummary, isJson: boolean) =>
  Console.log(isJson ? summaryJson(run) : `\n${summaryText(run, standardOutput())}`)

export const showDryRun = (dryRun: DryRun, isJson: boolean) =>
  Console.log(isJson ? dryRunJson(dryRun) : dryRunText(dryRun, standardOutput()))
