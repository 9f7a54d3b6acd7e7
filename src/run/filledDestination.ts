/** Compares the settings of a run with those that filled the destination: the step, the selector and the start. */
import { Effect } from "effect"
import { ConfigError, ConnectorConfig, type Settings } from "../config/ConnectorConfig.ts"
import type { SavedStream, SyncMode } from "../destinations/Destination.ts"
import { uncovered } from "../sync/coverage.ts"
import { selectorOf } from "../sync/plan.ts"
import { definitionOf, isRaw, kindOf, ownStepOf, stepMillisOf } from "../sync/StreamDefinition.ts"
import { labelsDigest, type StreamState } from "../sync/StreamState.ts"
import { isRawRange } from "../sync/TimeGrid.ts"
import { truncateText } from "../text/excerpt.ts"
import { stepText } from "../text/figures.ts"
import { formatTime } from "../text/formatTime.ts"
import { pluralize } from "../text/pluralize.ts"

/** A run into an existing destination. */
export interface Filling {
  readonly mode: SyncMode
  /** The destination as the user named it. */
  readonly destination: string
  /** Whether the user gave the step; otherwise it is the default. */
  readonly isStepGiven: boolean
  /** Whether this is a dry run. */
  readonly isDryRun?: boolean
}

/**
 * The settings for the read. If the user gave no step, it is that of the destination. Fails if a table would get rows of two
 * steps. Logs all other differences from the settings that filled the destination.
 */
export const fitSettings = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>,
  filling: Filling,
  saved: ReadonlyMap<string, SavedStream>
) {
  const settings = yield* ConnectorConfig
  /** Streams of another kind are refused or replaced. */
  const selected: States = new Map(
    names.flatMap((name) => {
      const { kind, state } = saved.get(name) ?? {}
      return state === undefined || kind !== kindOf(settings, name) ? [] : [[name, state] as const]
    })
  )
  yield* refuseOtherSampling(settings, filling, selected)
  const stepped = only(selected, (name, state) => !isRaw(definitionOf(settings, name)) && !isRawRange(state))
  const general = only(stepped, (name) => ownStepOf(settings, name) === undefined)
  /** Also the streams of earlier runs that had the step of their run. Tables have no step. */
  const all: States = new Map([
    ...Array.from(saved).flatMap(([name, { kind, state }]) =>
      state === undefined ||
      state.own_step === true ||
      isRawRange(state) ||
      kind === "table" ||
      selected.has(name)
        ? []
        : [[name, state] as const]
    ),
    ...general
  ])
  const stepSeconds = yield* chooseStep(settings, filling, all, general)
  if (!filling.isStepGiven && all.size > 0) {
    yield* Effect.logInfo(
      `No step is given, so the run takes the step of ${filling.destination}: ${stepText(stepSeconds)}.`
    )
  }
  const fitted: Settings = { ...settings, stepSeconds }
  yield* refuseOwnSteps(
    fitted,
    filling,
    only(stepped, (name) => ownStepOf(settings, name) !== undefined)
  )
  yield* Effect.forEach(differences(fitted, filling, selected), (text) => Effect.logWarning(text))
  if (filling.mode.startsWith("incremental")) {
    yield* Effect.forEach(earlierStart(fitted, filling, selected), (text) => Effect.logInfo(text))
  }
  return fitted
})

type States = ReadonlyMap<string, StreamState>

const only = (states: States, isMeant: (name: string, state: StreamState) => boolean): States =>
  new Map([...states].filter(([name, state]) => isMeant(name, state)))

/** Fails if a table would get stored samples beside the points of a step. */
const refuseOtherSampling = (
  settings: Settings,
  { destination, mode }: Filling,
  states: States
): Effect.Effect<void, ConfigError> => {
  const [first, ...others] = [...states].filter(
    ([name, state]) => isRaw(definitionOf(settings, name)) !== isRawRange(state)
  )
  if (first === undefined || mode === "full_refresh_overwrite") return Effect.void
  const [name, state] = first
  const [now, then] = isRawRange(state) ? ["step", "raw"] : ["raw", "step"]
  return Effect.fail(
    new ConfigError({
      message: `The sampling of ${name} is ${now}, but ${destination} has rows of ${listNames([name, ...others.map(([name]) => name)])} with sampling ${then}. Stored samples and points of a step cannot be distinguished later. Run with --sampling ${then}, choose another destination with --to, or read everything again with --full-refresh.`
    })
  )
}

/** Fails if a stream with a step of its own has rows with another one. A refresh replaces them. */
const refuseOwnSteps = (
  settings: Settings,
  { destination, mode }: Filling,
  states: States
): Effect.Effect<void, ConfigError> => {
  const others = [...states].filter(
    ([name, state]) => stepOf(state) !== definitionOf(settings, name).stepSeconds
  )
  const [first] = others
  if (first === undefined || mode === "full_refresh_overwrite") return Effect.void
  const [name, state] = first
  const step = stepOf(state)
  return Effect.fail(
    new ConfigError({
      message: `The step of ${name} is ${stepText(definitionOf(settings, name).stepSeconds)}, but ${destination} has rows of ${listNames(others.map(([name]) => name))} with a step of ${stepText(step)}. Rows of two steps cannot be distinguished later. Set its step to ${flagText(step)}, choose another destination with --to, or read everything again with --full-refresh.`
    })
  )
}

const chooseStep = (
  { stepSeconds }: Settings,
  { destination, isStepGiven, mode }: Filling,
  all: States,
  selected: States
): Effect.Effect<number, ConfigError> => {
  if (isStepGiven) {
    const others = [...selected].filter(([, state]) => stepOf(state) !== stepSeconds)
    // A refresh replaces all rows of a stream, including those with another step.
    if (others.length === 0 || mode === "full_refresh_overwrite") return Effect.succeed(stepSeconds)
    const steps = stepsOf(new Map(others)).map(stepText)
    return Effect.fail(
      new ConfigError({
        message: `The step is ${stepText(stepSeconds)}, but ${destination} has rows of ${listNames(others.map(([name]) => name))} with a step of ${steps.join(" or ")}. Rows of two steps cannot be distinguished later. Run with --step ${flagText(stepOf(others[0]![1]))}, choose another destination with --to, or read everything again with --full-refresh.`
      })
    )
  }
  const steps = stepsOf(selected.size > 0 ? selected : all)
  if (steps.length === 1) return Effect.succeed(steps[0]!)
  if (selected.size === 0) return Effect.succeed(stepSeconds)
  const examples = steps.map((one) => {
    const [name] = [...selected].find(([, state]) => stepOf(state) === one)!
    return `${stepText(one)} (${name})`
  })
  return Effect.fail(
    new ConfigError({
      message: `No step is given, and the streams of ${destination} have several: ${examples.join(", ")}. Give --step, or run once for each with --step and --select.`
    })
  )
}

/** The step of a state in seconds. */
const stepOf = ({ stepMillis }: StreamState): number => stepMillis / 1000

const stepsOf = (states: States): ReadonlyArray<number> =>
  [...new Set(Array.from(states.values(), stepOf))].sort((a, b) => a - b)

/** A step as the value of `--step`. */
const flagText = (seconds: number): string =>
  seconds % 3600 === 0 ? `${seconds / 3600}h` : seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`

/** Some names, for a sentence. */
export const listNames = (names: ReadonlyArray<string>): string =>
  names.length <= 3
    ? names.join(", ")
    : `${names.slice(0, 3).join(", ")} and ${pluralize(names.length - 3, "other stream")}`

/** How a run differs from those that filled the destination, as sentences. */
const differences = (
  settings: Settings,
  { destination, mode }: Filling,
  selected: States
): ReadonlyArray<string> => {
  const { excludedLabels } = settings
  const excluded = labelsDigest(excludedLabels)
  const difference = (found: ReadonlyArray<readonly [string, StreamState]>, now: string, then: string) =>
    found.length === 0
      ? []
      : [
          `${now}, but ${listNames(found.map(([name]) => name))} in ${destination} ${found.length === 1 ? "was" : "were"} filled with ${then}. ${mode === "full_refresh_overwrite" ? "The full refresh replaces those rows." : "The existing rows stay unchanged, and only new rows use the present setting. To use it for all rows, run with --full-refresh or into another destination."}`
        ]
  const isGroup = (name: string) => definitionOf(settings, name)._tag === "Group"
  /** Each choice of the present settings, with the streams that were filled with another one. */
  const changed = Map.groupBy(
    [...selected].filter(
      ([name, { selector }]) => (selector ?? selectionOf(settings, name)) !== selectionOf(settings, name)
    ),
    ([name]) =>
      `The ${choiceNames[definitionOf(settings, name)._tag]} is ${shown(selectionOf(settings, name), isGroup(name))}`
  )
  return [
    ...Array.from(changed).flatMap(([now, streams]) =>
      difference(
        streams,
        now,
        [...new Set(streams.map(([name, { selector = "" }]) => shown(selector, isGroup(name))))].join(" and ")
      )
    ),
    ...difference(
      [...selected].filter(([, state]) => (state.excluded_labels ?? excluded) !== excluded),
      excludedLabels.size === 0
        ? "No label is excluded"
        : `${pluralize(excludedLabels.size, "label")} ${excludedLabels.size === 1 ? "is" : "are"} excluded (${[...excludedLabels].join(", ")})`,
      "a different choice of excluded labels"
    )
  ]
}

const selectionOf = (settings: Settings, name: string): string =>
  selectorOf(settings, definitionOf(settings, name))

/** What decides which data a stream has. */
const choiceNames = { Metric: "selector", Table: "selector", Query: "expression", Group: "group" } as const

/** The text of a group consists of words. */
const shown = (text: string, isQuoted: boolean): string => {
  const beginning = truncateText(text, MAX_SHOWN_CHARACTERS)
  return text === "" ? "empty" : isQuoted ? `"${beginning}"` : beginning
}

/** An expression may have any length. */
const MAX_SHOWN_CHARACTERS = 300

/** The gaps of streams that the run fills, as a sentence: before the rows, if the start was moved back, or between them. */
const earlierStart = (
  settings: Settings,
  { isDryRun = false }: Filling,
  selected: States
): ReadonlyArray<string> => {
  const behind = [...selected].flatMap(([name, { covered }]) => {
    const stepMillis = stepMillisOf(definitionOf(settings, name))
    const firstMillis = Math.ceil(settings.startMillis / stepMillis) * stepMillis
    const lastMillis = covered.at(-1)?.lastMillis ?? Number.NEGATIVE_INFINITY
    const gaps = uncovered({ firstMillis, lastMillis, stepMillis }, covered)
    return gaps.length === 0 ? [] : [{ name, from: gaps[0]!.firstMillis, to: gaps.at(-1)!.lastMillis }]
  })
  if (behind.length === 0) return []
  const from = behind.reduce((least, { from }) => Math.min(least, from), Number.POSITIVE_INFINITY)
  const to = behind.reduce((most, { to }) => Math.max(most, to), 0)
  return [
    `The start is before the data of ${listNames(behind.map(({ name }) => name))}: missing data from ${formatTime(from)} to ${formatTime(to)} ${isDryRun ? "would be" : "is"} read and added.`
  ]
}
