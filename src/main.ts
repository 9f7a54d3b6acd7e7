/** The command line: all commands in one program. */
import { isatty } from "node:tty"
import { Effect } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import packageJson from "../package.json" with { type: "json" }
import { protocolCommands, protocolPresenter } from "./airbyte/commands.ts"
import { completions } from "./completions.ts"
import { runCommand } from "./run/command.ts"
import { peoplesVerbs } from "./run/peoplesVerbs.ts"
import { personalPresenter, WRONG_USAGE } from "./usageErrors.ts"

const verbCommands = protocolCommands(peoplesVerbs)

const root = Command.make("source-prometheus").pipe(
  Command.withDescription(
    "Replicates Prometheus metrics: an Airbyte source connector and an exporter of its own. Exits with 0 when all was done, with 1 when something failed, and with 2 when the command line is wrong"
  ),
  Command.withExamples([
    { command: "source-prometheus run", description: "Try it with an embedded demo Prometheus" },
    {
      command: "source-prometheus run --url http://localhost:9090 --start 2026-01-01",
      description: "Read your Prometheus"
    },
    {
      command: "source-prometheus --completions bash >> ~/.bashrc",
      description: "Let your shell complete commands and flags"
    }
  ]),
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
    Effect.catchTag("Unsuccessful", ({ exitCode = 1 }) => Effect.succeed(exitCode)),
    // What was wrong has been told by then, or that there is no command without a name.
    Effect.catchIf(
      (error): error is CliError.CliError => CliError.isCliError(error),
      () => Effect.succeed(WRONG_USAGE)
    ),
    // Without Effect's wizard and --log-level: the protocol has --debug.
    Effect.provideService(CliConfig.CliConfig, {
      builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions]
    }),
    Effect.provide(
      CliOutput.layerPresenter(verbs.has(args[0] ?? "") && !isatty(1) ? protocolPresenter : personalPresenter)
    )
  )
