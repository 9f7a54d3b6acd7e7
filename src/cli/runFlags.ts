/** The flags of `run` for the destination, the mode and the output. */
import { Effect, Option, Result } from "effect"
import { CliError, Flag } from "effect/cli"
import { parseSeconds } from "../config/times.ts"
import { type SyncMode, syncModes } from "../destinations/Destination.ts"
import { expandHome } from "../text/homePath.ts"
import { destinationKinds, placesText } from "./destinations.ts"
import { parseTarget, type Target, targetText } from "./target.ts"

/** With less, DuckDB cannot hold its working set. */
const MIN_MEMORY = 64

const DEFAULT_MODE: SyncMode = "incremental_append_deduped"

/** The default destination for a server, or for the demo. */
export const defaultTarget = (isDemo: boolean): Target => {
  const [kind] = destinationKinds
  return { kind, path: `${isDemo ? "demo" : "prometheus"}${kind.place === "FILE" ? `.${kind.scheme}` : ""}` }
}

const withGzip = destinationKinds.filter(({ takesGzip }) => takesGzip)
const withMemory = destinationKinds.filter(({ memoryMegabytes }) => memoryMegabytes !== undefined)

const fail = (message: string) => new CliError.ValidationError({ message })

export const runFlags = {
  to: Flag.String("to").pipe(
    Flag.withMetavar("DESTINATION"),
    Flag.withDescription(
      `Where the data goes: ${placesText(destinationKinds, ({ contents, place, scheme }) => `${scheme}:${place}${contents === undefined ? "" : ` (${contents})`}`)}; ${targetText(defaultTarget(false))} by default, ${targetText(defaultTarget(true))} for the demo`
    ),
    Flag.mapEffect((text) => Effect.fromResult(Result.mapError(parseTarget(text), fail))),
    Flag.optional
  ),
  mode: Flag.Literals("mode", syncModes).pipe(
    Flag.withDescription(`Which data to read, and what to do with existing rows (default: ${DEFAULT_MODE})`),
    Flag.optional
  ),
  fullRefresh: Flag.Boolean("full-refresh").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Read everything again and replace existing rows; later runs add to them")
  ),
  yes: Flag.Boolean("yes").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Do not ask before a full refresh removes rows that the server no longer has")
  ),
  every: Flag.String("every").pipe(
    Flag.withMetavar("DURATION"),
    Flag.withDescription("Repeat the run at this interval, such as 5m or 1h, until stopped"),
    Flag.mapEffect(everyMillisOf),
    Flag.optional
  ),
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Show what a run would read (streams, series, samples and bytes) without reading it")
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Print the summary as JSON instead of a table")
  ),
  report: Flag.String("report").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write an HTML page with the summary and charts of the data"),
    Flag.mapEffect((path) =>
      Effect.fromResult(
        Result.mapError(expandHome(path), (why) => fail(`--report is ${JSON.stringify(path)}, but ${why}.`))
      )
    ),
    Flag.optional
  ),
  gzip: Flag.Boolean("gzip").pipe(
    Flag.withDefault(false),
    Flag.withDescription(`Compress the files of ${placesText(withGzip)}`)
  ),
  memory: Flag.Int("memory").pipe(
    Flag.withMetavar("MEGABYTES"),
    Flag.withDescription(
      `How much memory to use for ${placesText(withMemory)} (default: ${withMemory[0]?.memoryMegabytes})`
    ),
    Flag.mapEffect((megabytes) =>
      megabytes >= MIN_MEMORY
        ? Effect.succeed(megabytes)
        : Effect.fail(fail(`--memory is ${megabytes}, but must be at least ${MIN_MEMORY} (megabytes).`))
    ),
    Flag.optional
  )
}

function everyMillisOf(text: string): Effect.Effect<number, CliError.CliError> {
  const seconds = parseSeconds(text.trim())
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= 315_360_000
    ? Effect.succeed(seconds * 1000)
    : Effect.fail(
        fail(
          `--every is ${JSON.stringify(text)}, but must be a duration of at least a second, such as 30s, 5m or 1h.`
        )
      )
}

/** The values of the flags. */
export interface RunFlags {
  readonly to: Option.Option<Target>
  readonly mode: Option.Option<SyncMode>
  readonly fullRefresh: boolean
  readonly yes: boolean
  /** Milliseconds. */
  readonly every: Option.Option<number>
  readonly dryRun: boolean
  readonly json: boolean
  readonly report: Option.Option<string>
  readonly gzip: boolean
  readonly memory: Option.Option<number>
}

/** The decoded and validated flags. */
export interface RunPlan {
  readonly target: Target
  /** The mode of the first run, and of the runs after it. */
  readonly mode: SyncMode
  readonly laterMode: SyncMode
  /** Whether a full refresh may leave fewer rows than before. */
  readonly mayShrink: boolean
  readonly everyMillis: number | undefined
  readonly isDryRun: boolean
  readonly isJson: boolean
  readonly reportPath: string | undefined
  readonly gzip: boolean
  readonly memoryMegabytes: number | undefined
}

export const planOf = (flags: RunFlags, isDemo: boolean): RunPlan => {
  const laterMode = Option.getOrElse(flags.mode, () => DEFAULT_MODE)
  return {
    target: Option.getOrElse(flags.to, () => defaultTarget(isDemo)),
    mode: flags.fullRefresh && laterMode.startsWith("incremental") ? "full_refresh_overwrite" : laterMode,
    laterMode,
    mayShrink: flags.yes,
    everyMillis: Option.getOrUndefined(flags.every),
    isDryRun: flags.dryRun,
    isJson: flags.json,
    reportPath: Option.getOrUndefined(flags.report),
    gzip: flags.gzip,
    memoryMegabytes: Option.getOrUndefined(flags.memory)
  }
}

/** Fails if flags contradict each other. The message names the flag to remove. */
export const checkTogether = (flags: RunFlags): Effect.Effect<void, CliError.CliError> => {
  const { kind } = Option.getOrElse(flags.to, () => defaultTarget(false))
  const only = (flag: string, kinds: typeof withGzip) =>
    Effect.fail(
      fail(`${flag} is for ${placesText(kinds)} alone: remove it, or give --to ${placesText(kinds)}.`)
    )
  if (flags.gzip && !withGzip.includes(kind)) return only("--gzip", withGzip)
  if (Option.isSome(flags.memory) && !withMemory.includes(kind)) return only("--memory", withMemory)
  if (flags.fullRefresh && Option.contains(flags.mode, "full_refresh_append")) {
    return Effect.fail(
      fail(
        "--full-refresh replaces the existing rows, and --mode full_refresh_append keeps them: remove one of them."
      )
    )
  }
  if (flags.dryRun && Option.isSome(flags.every)) {
    return Effect.fail(fail("--dry-run shows what one run would read: remove --every."))
  }
  if (flags.dryRun && Option.isSome(flags.report)) {
    return Effect.fail(fail("--dry-run reads no data for --report to show: remove one of them."))
  }
  return Effect.void
}
