/** The command `run`, wired. */
import { Effect, Layer, Option, References } from "effect"
import { Command, Flag } from "effect/cli"
import { ConnectorConfig, secretTexts } from "../ConnectorConfig.ts"
import { PrometheusClient } from "../prometheus/PrometheusClient.ts"
import { Unsuccessful } from "../Unsuccessful.ts"
import { configFlags, demoSettingsOf, isEmpty, settingsOf } from "./configFlags.ts"
import { startDemo } from "./demo.ts"
import { JsonLines } from "./JsonLines.ts"
import { personalLog, tellErrors } from "./personal.ts"
import { run } from "./run.ts"

const flags = {
  ...configFlags,
  output: Flag.String("output").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "The JSON-lines file to append to; its state is kept beside it. prometheus.jsonl by default, demo.jsonl for the demo"
    ),
    Flag.optional
  )
}

/** `source-prometheus run`. */
export const runCommand = Command.make(
  "run",
  flags,
  Effect.fnUntraced(
    function* ({ output, ...given }) {
      const isDemo = isEmpty(given)
      const settings = isDemo
        ? yield* Effect.flatMap(startDemo, (demo) => demoSettingsOf(demo, given))
        : yield* settingsOf(given)
      const path = Option.getOrElse(output, () => (isDemo ? "demo.jsonl" : "prometheus.jsonl"))
      const source = isDemo ? "the demo" : settings.baseUrl
      const succeeded = yield* Effect.gen(function* () {
        if (isDemo)
          yield* Effect.logInfo(
            "Neither --url nor --config is given, so an embedded demo Prometheus is read."
          )
        yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning))
        return yield* run
      }).pipe(
        Effect.provide(
          Layer.mergeAll(PrometheusClient.layer, JsonLines.layer(path, source)).pipe(
            Layer.provideMerge(Layer.succeed(ConnectorConfig, settings))
          )
        ),
        tellErrors,
        Effect.provide(personalLog(secretTexts(settings)))
      )
      if (!succeeded) return yield* new Unsuccessful()
    },
    Effect.scoped,
    tellErrors,
    Effect.provide(personalLog([])),
    Effect.provideService(References.MinimumLogLevel, "Info")
  )
).pipe(
  Command.withDescription("Do a whole sync without Airbyte: read all metrics into a JSON-lines file"),
  Command.withExamples([
    { command: "source-prometheus run", description: "Try it with an embedded demo Prometheus" },
    {
      command: "source-prometheus run --url http://localhost:9090 --start 2026-01-01 --step 5m",
      description: "Read your Prometheus; run it again to add what is new"
    },
    {
      command: "source-prometheus run --config config.json --select 'node_*' --output node.jsonl",
      description: "Read what a configuration says, but only some metrics, into another file"
    }
  ])
)
