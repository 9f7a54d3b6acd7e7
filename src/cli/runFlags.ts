/** The flags of `run` for the destination, the mode and the output. */
import { Effect, Result } from "effect"
import { CliError, type Command, Flag } from "effect/cli"
import { parseSeconds } from "../config/times.ts"
import { isRefresh, type SyncMode, syncModes } from "../destinations/Destination.ts"
import { expandHome } from "../text/homePath.ts"
import { destinationKinds, placesText } from "./destinations.ts"
import { optional, switchFlag, textFlag } from "./flags.ts"
import { parseTarget, type Target, targetText } from "./target.ts"

/** With less, DuckDB cannot hold its working set. */
const MIN_MEMORY = 64

/** Ten years, for `--every`. */
const MAX_SECONDS = 315_360_000

const DEFAULT_MODE: SyncMode = "incremental_append_deduped"

/** The default destination for a server, or for the demo. */
export const defaultTarget = (isDemo: boolean): Target => {
  const [kind] = destinationKinds
  const path = `${isDemo ? "demo" : "prometheus"}${kind.place === "FILE" ? `.${kind.scheme}` : ""}`
  return { kind, path, isRemote: false }
}

const withGzip = destinationKinds.filter(({ takesGzip }) => takesGzip)
const withDataPath = destinationKinds.filter(({ takesDataPath }) => takesDataPath === true)
const withMemory = destinationKinds.filter(({ memoryMegabytes }) => memoryMegabytes !== undefined)

const fail = (message: string) => Effect.fail(new CliError.ValidationError({ message }))

export const runFlags = {
  to: textFlag(
    "to",
    "DESTINATION",
    `Where the data goes: ${placesText(destinationKinds, ({ contents, place, scheme }) => `${scheme}:${place}${contents === undefined ? "" : ` (${contents})`}`)}; ${targetText(defaultTarget(false))} by default, ${targetText(defaultTarget(true))} for the demo`
  ).pipe(
    Flag.mapEffect((text) => Result.match(parseTarget(text), { onSuccess: Effect.succeed, onFailure: fail })),
    optional
  ),
  dataPath: textFlag(
    "data-path",
    "PATH",
    `Where a new DuckLake keeps its data: a folder, or s3://BUCKET/PREFIX; beside a catalog in a file by default (${placesText(withDataPath)})`
  ).pipe(
    Flag.mapEffect((path) =>
      Result.match(expandHome(path), {
        onSuccess: Effect.succeed,
        onFailure: (why) => fail(`--data-path is ${JSON.stringify(path)}, but ${why}.`)
      })
    ),
    optional
  ),
  mode: Flag.Literals("mode", syncModes).pipe(
    Flag.withDescription(`Which data to read, and what to do with existing rows (default: ${DEFAULT_MODE})`),
    optional
  ),
  fullRefresh: switchFlag(
    "full-refresh",
    "Read everything again and replace existing rows; later runs add to them"
  ),
  mayShrink: switchFlag("yes", "Do not ask before a full refresh removes rows that the server no longer has"),
  everyMillis: textFlag(
    "every",
    "DURATION",
    "Repeat the run at this interval, such as 5m or 1h, until stopped"
  ).pipe(
    Flag.mapEffect((text) => {
      const seconds = parseSeconds(text.trim())
      return Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_SECONDS
        ? Effect.succeed(seconds * 1000)
        : fail(
            `--every is ${JSON.stringify(text)}, but must be a duration of at least a second, such as 30s, 5m or 1h.`
          )
    }),
    optional
  ),
  isDryRun: switchFlag(
    "dry-run",
    "Show what a run would read (streams, series, samples and bytes) without reading it"
  ),
  isJson: switchFlag("json", "Print the summary as JSON instead of a table"),
  reportPath: textFlag("report", "FILE", "Write an HTML page with the summary and charts of the data").pipe(
    Flag.mapEffect((path) =>
      Result.match(expandHome(path), {
        onSuccess: Effect.succeed,
        onFailure: (why) => fail(`--report is ${JSON.stringify(path)}, but ${why}.`)
      })
    ),
    optional
  ),
  gzip: switchFlag("gzip", `Compress the files of ${placesText(withGzip)}`),
  memoryMegabytes: Flag.Int("memory").pipe(
    Flag.withMetavar("MEGABYTES"),
    Flag.withDescription(
      `How much memory to use for ${placesText(withMemory)} (default: ${withMemory[0]?.memoryMegabytes})`
    ),
    Flag.mapEffect((megabytes) =>
      megabytes >= MIN_MEMORY
        ? Effect.succeed(megabytes)
        : fail(`--memory is ${megabytes}, but must be at least ${MIN_MEMORY} (megabytes).`)
    ),
    optional
  )
}

/** The values of the flags. */
export type RunFlags = Command.Command.Config.Infer<typeof runFlags>

/** Whether any of the flags is given. */
export const isAnyGiven = (flags: RunFlags): boolean =>
  Object.keys(runFlags).some(
    (name) => ![undefined, false].includes(flags[name as keyof RunFlags] as undefined)
  )

/** What the flags mean together. */
export interface RunPlan extends RunFlags {
  readonly target: Target
  /** The mode of the first run, and of the runs after it. */
  readonly mode: SyncMode
  readonly laterMode: SyncMode
}

export const planOf = (flags: RunFlags, isDemo: boolean): RunPlan => {
  const laterMode = flags.mode ?? DEFAULT_MODE
  return {
    ...flags,
    target: flags.to ?? defaultTarget(isDemo),
    mode: flags.fullRefresh && !isRefresh(laterMode) ? "full_refresh_overwrite" : laterMode,
    laterMode
  }
}

/** Fails if flags contradict each other. The message names the flag to remove. */
export const checkTogether = (flags: RunFlags): Effect.Effect<void, CliError.CliError> => {
  const { dataPath, everyMillis, fullRefresh, gzip, isDryRun, memoryMegabytes, mode, reportPath } = flags
  const { kind } = flags.to ?? defaultTarget(false)
  const only = (flag: string, kinds: typeof withGzip) =>
    `${flag} is for ${placesText(kinds)} alone: remove it, or give --to ${placesText(kinds)}.`
  const conflicts: ReadonlyArray<readonly [isPresent: boolean, message: string]> = [
    [gzip && !withGzip.includes(kind), only("--gzip", withGzip)],
    [dataPath !== undefined && !withDataPath.includes(kind), only("--data-path", withDataPath)],
    [memoryMegabytes !== undefined && !withMemory.includes(kind), only("--memory", withMemory)],
    [
      fullRefresh && mode === "full_refresh_append",
      "--full-refresh replaces the existing rows, and --mode full_refresh_append keeps them: remove one of them."
    ],
    [isDryRun && everyMillis !== undefined, "--dry-run shows what one run would read: remove --every."],
    [
      isDryRun && reportPath !== undefined,
      "--dry-run reads no data for --report to show: remove one of them."
    ]
  ]
  const conflict = conflicts.find(([isPresent]) => isPresent)
  return conflict === undefined ? Effect.void : fail(conflict[1])
}
