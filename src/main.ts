/** The command line: all commands in one program. */
import { isatty } from "node:tty"
import { Effect } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import packageJson from "../package.json" with { type: "json" }
import { protocolCommands, protocolPresenter } from "./airbyte/commands.ts"
import { runCommand } from "./run/command.ts"
import { peoplesVerbs } from "./run/peoplesVerbs.ts"

const verbCommands = protocolCommands(peoplesVerbs)

const root = Command.make("source-prometheus").pipe(
  Command.withDescription(
    "Replicates Prometheus metrics: an Airbyte source connector and an exporter of its own"
  ),
  Command.withSubcommands([...verbCommands, runCommand])
)

const verbs: ReadonlySet<string> = new Set<string>(verbCommands.map(({ name }) => name))

/**
 * Runs the program with command line arguments and answers its exit code. Fails with `OutputClosed` if nobody
 * reads what it writes.
 */
export const main = (args: ReadonlyArray<string>) =>
  Command.runWith(root, { version: packageJson.version })(args).pipe(
    Effect.as(0),
    Effect.catchTag("Unsuccessful", () => Effect.succeed(1)),
    // What was wrong has been told by then, or that there is no command without a name.
    Effect.catchIf(
      (error): error is CliError.CliError => CliError.isCliError(error),
      () => Effect.succeed(1)
    ),
    // Without Effect's wizard and --log-level: the protocol has --debug.
    Effect.provideService(CliConfig.CliConfig, {
      builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions]
    }),
    Effect.provide(
      CliOutput.layerPresenter(
        verbs.has(args[0] ?? "") && !isatty(1) ? protocolPresenter : CliOutput.defaultPresenter
      )
    )
  )
