/** What `run --cluster` and `worker` share. */
import { Effect, Layer, Result } from "effect"
import { CliError, Flag } from "effect/cli"
import { parseClusterAddress } from "../cluster/clusterAddress.ts"
import type { ClusterAddress, ClusterOptions } from "../cluster/PartQueue.ts"
import type { Settings } from "../config/ConnectorConfig.ts"
import { render } from "../promql/Matcher.ts"
import { patternsText } from "../sync/groups.ts"
import { stepText } from "../text/figures.ts"
import { optional, textFlag } from "./flags.ts"
import type { Target } from "./target.ts"
import { targetText } from "./target.ts"

/** The flag `--cluster`. */
export const clusterFlag = (description: string) =>
  textFlag("cluster", "URL", description).pipe(
    Flag.mapEffect((text) =>
      Result.match(parseClusterAddress(text), {
        onSuccess: Effect.succeed,
        onFailure: (message) => Effect.fail(new CliError.ValidationError({ message }))
      })
    ),
    optional
  )

/** The libraries of the cluster are large, and few runs need them. */
export const loadCluster = Effect.promise(() => import("../cluster/cluster.ts"))

/** What workers must have in common with the run: all settings on which the rows depend. */
export const sharedSettings = (
  target: Target,
  source: string,
  settings: Settings
): ClusterOptions["settings"] => ({
  source,
  destination: targetText(target),
  step: stepText(settings.stepSeconds),
  ...(settings.sampling === "raw" ? { sampling: "raw" } : {}),
  selector: settings.matchers.length === 0 ? "" : render(settings.matchers),
  ...(settings.queries.length === 0 ? {} : { queries: queriesText(settings) }),
  // A worker lists the metrics of a group among those that it includes itself.
  ...(settings.groups.length === 0 ? {} : { groups: groupsText(settings), metrics: patternsText(settings) }),
  ...(settings.overrides.length === 0 ? {} : { overrides: overridesText(settings) }),
  excluded_labels: Array.from(settings.excludedLabels).sort().join(", "),
  label_columns: settings.labelColumns ? "on" : "off",
  partial_data: settings.partialData,
  damaged_data: settings.damagedData,
  max_source_resolution: settings.maxSourceResolution,
  // All processes of a sync keep one load budget.
  ...loadLimits(settings)
})

const loadLimits = ({ maxRequestsPerSecond, maxSamplesPerSecond }: Settings) => ({
  ...(maxRequestsPerSecond === undefined ? {} : { max_requests_per_second: `${maxRequestsPerSecond}` }),
  ...(maxSamplesPerSecond === undefined ? {} : { max_samples_per_second: `${maxSamplesPerSecond}` })
})

const queriesText = ({ queries }: Settings): string =>
  queries
    .map(({ expression, name, stepSeconds }) => `${name}${ownStep(stepSeconds)} (${expression.text})`)
    .join(", ")

const groupsText = ({ groups }: Settings): string =>
  groups.map((group) => `${group.name} (${patternsText(group)})`).join(", ")

const overridesText = ({ overrides }: Settings): string =>
  overrides
    .map(
      ({ matchers, metrics, sampling, stepSeconds }) =>
        `${metrics.text}${ownStep(stepSeconds)}${sampling === undefined ? "" : ` ${sampling}`}${matchers === undefined ? "" : ` ${render(matchers)}`}`
    )
    .join(", ")

const ownStep = (stepSeconds: number | undefined): string =>
  stepSeconds === undefined ? "" : ` every ${stepText(stepSeconds)}`

/** The load budget of a sync, which its processes share. */
export const layerAccount = (
  address: ClusterAddress,
  target: Target,
  source: string,
  settings: Settings,
  role: "submitter" | "worker"
) =>
  Object.keys(loadLimits(settings)).length === 0
    ? Layer.empty
    : Layer.unwrap(
        Effect.map(loadCluster, ({ layerLoadAccount }) =>
          layerLoadAccount({ address, settings: sharedSettings(target, source, settings) }, role)
        )
      )

/** The queue of a run. */
export const layerQueue = (address: ClusterAddress, settings: ClusterOptions["settings"]) =>
  Layer.unwrap(Effect.map(loadCluster, ({ layerPartQueue }) => layerPartQueue({ address, settings })))
