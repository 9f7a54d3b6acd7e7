/** The flags of `run` for the destination, the mode and the output. */
import { Effect, Result } from "effect"
import { CliError, type Command, Flag } from "effect/cli"
import { parseSeconds } from "../config/times.ts"
import { isRefresh, type SyncMode, syncModes } from "../destinations/Destination.ts"
import type { Share } from "../run/runParts.ts"
import { expandHome } from "../text/homePath.ts"
import { destinationKinds, placesText } from "./destinations.ts"
import { optional, switchFlag, textFlag } from "./flags.ts"
import { clusterFlag } from "./onCluster.ts"
import { INDEX_VARIABLE, MAX_PROCESSES, parsePart, shareOf } from "./parts.ts"
import { parseTarget, type Target, targetText } from "./target.ts"

/** With less, DuckDB cannot hold its working set. */
const MIN_MEMORY = 64

/** Ten years, for durations. */
const MAX_SECONDS = 315_360_000

const DEFAULT_MODE: SyncMode = "incremental_append_deduped"

/** The kinds that several processes can write. */
const withParts = destinationKinds.filter(({ sharedLayer }) => sharedLayer !== undefined)

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

/** Parses the milliseconds of a flag. */
const duration = (flag: string, expected: string) => (text: string) => {
  const seconds = parseSeconds(text.trim())
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_SECONDS
    ? Effect.succeed(seconds * 1000)
    : fail(`--${flag} is ${JSON.stringify(text)}, but must be ${expected}.`)
}

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
    Flag.mapEffect(duration("every", "a duration of at least a second, such as 30s, 5m or 1h")),
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
  part: textFlag(
    "part",
    "I/N",
    `Read only the parts of process I of N processes that run at the same time or later: I is from 0 to N-1. For ${placesText(withParts)}`
  ).pipe(
    Flag.mapEffect((text) => Result.match(parsePart(text), { onSuccess: Effect.succeed, onFailure: fail })),
    optional
  ),
  parts: Flag.Int("parts").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(
      `The same with I from ${INDEX_VARIABLE}, which Kubernetes sets in the pods of an indexed Job. With --dry-run: show who would read what`
    ),
    Flag.mapEffect((processes) =>
      processes >= 1 && processes <= MAX_PROCESSES
        ? Effect.succeed(processes)
        : fail(`--parts is ${processes}, but must be the number of processes, from 1 to ${MAX_PROCESSES}.`)
    ),
    optional
  ),
  cluster: clusterFlag(
    "Let workers read the parts: processes with source-prometheus worker and the same flags, on any machines. URL is a PostgreSQL database that all of them reach, without a password"
  ),
  partMillis: textFlag(
    "part-length",
    "DURATION",
    "How long the parts of new streams are, such as 1h or 1d (default: so that each takes half a minute or more)"
  ).pipe(
    Flag.mapEffect(duration("part-length", "a duration of at least a second, such as 1h, 6h or 1d")),
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
  /** The parts that this process reads; undefined if it reads everything. */
  readonly share: Share | undefined
  /** The number of processes, also in a dry run that is none of them. */
  readonly processes: number | undefined
}

export const planOf = (flags: RunFlags, isDemo: boolean, env: NodeJS.ProcessEnv = process.env): RunPlan => {
  const laterMode = flags.mode ?? DEFAULT_MODE
  const share = Result.getOrUndefined(shareOf(flags, env))
  return {
    ...flags,
    share,
    processes: flags.part?.processes ?? flags.parts,
    target: flags.to ?? defaultTarget(isDemo),
    mode: flags.fullRefresh && !isRefresh(laterMode) ? "full_refresh_overwrite" : laterMode,
    laterMode
  }
}

/** The flags of a destination that do not fit its kind. The message names the flag to remove. */
export const misfits = (
  { dataPath, gzip, memoryMegabytes }: Pick<RunFlags, "dataPath" | "gzip" | "memoryMegabytes">,
  kind: Target["kind"]
): ReadonlyArray<readonly [isPresent: boolean, message: string]> => {
  const only = (flag: string, kinds: typeof withGzip) =>
    `${flag} is for ${placesText(kinds)} alone: remove it, or give --to ${placesText(kinds)}.`
  return [
    [gzip && !withGzip.includes(kind), only("--gzip", withGzip)],
    [dataPath !== undefined && !withDataPath.includes(kind), only("--data-path", withDataPath)],
    [memoryMegabytes !== undefined && !withMemory.includes(kind), only("--memory", withMemory)]
  ]
}

/** Fails if flags contradict each other. The message names the flag to remove. */
export const checkTogether = (
  flags: RunFlags,
  env: NodeJS.ProcessEnv = process.env
): Effect.Effect<void, CliError.CliError> => {
  const { cluster, everyMillis, fullRefresh, isDryRun, mode, part, partMillis, parts, reportPath } = flags
  const dividing = [
    part === undefined ? [] : ["--part"],
    parts === undefined ? [] : ["--parts"],
    cluster === undefined ? [] : ["--cluster"]
  ].flat()
  const [partFlag = "--part-length"] = dividing
  const hasParts = dividing.length > 0 || partMillis !== undefined
  const { kind } = flags.to ?? defaultTarget(false)
  const conflicts: ReadonlyArray<readonly [isPresent: boolean, message: string]> = [
    ...misfits(flags, kind),
    [
      fullRefresh && mode === "full_refresh_append",
      "--full-refresh replaces the existing rows, and --mode full_refresh_append keeps them: remove one of them."
    ],
    [isDryRun && everyMillis !== undefined, "--dry-run shows what one run would read: remove --every."],
    [
      isDryRun && reportPath !== undefined,
      "--dry-run reads no data for --report to show: remove one of them."
    ],
    [
      part !== undefined && parts !== undefined,
      "--part already says how many processes there are: remove --parts."
    ],
    [dividing.length > 1, `${dividing.join(" and ")} divide the work in different ways: remove one of them.`],
    [
      hasParts && (fullRefresh || (mode ?? DEFAULT_MODE) !== DEFAULT_MODE),
      `${partFlag} is for the mode ${DEFAULT_MODE} alone, because several processes cannot replace or append the same rows together: remove ${fullRefresh ? "--full-refresh" : "--mode"}.`
    ],
    [
      hasParts && kind.sharedLayer === undefined,
      withParts.length === 0
        ? `${partFlag} is for destinations that several processes can write, and ${kind.scheme}: has one writer only: remove it.`
        : `${partFlag} is for destinations that several processes can write, and ${kind.scheme}: has one writer only: remove it, or give --to ${placesText(withParts)}.`
    ],
    [
      dividing.length > 0 && reportPath !== undefined,
      `--report shows the data that one process reads, and ${partFlag} divides it: remove one of them.`
    ],
    [
      partMillis !== undefined && dividing.length === 0 && !isDryRun,
      "--part-length is for runs in parts: remove it, or give --part, --parts or --cluster."
    ]
  ]
  const conflict = conflicts.find(([isPresent]) => isPresent)
  if (conflict !== undefined) return fail(conflict[1])
  // A dry run shows the parts of all processes.
  return isDryRun
    ? Effect.void
    : Result.match(shareOf(flags, env), { onSuccess: () => Effect.void, onFailure: fail })
}
