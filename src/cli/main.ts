/** The command line: all commands in one program. */
import { isatty } from "node:tty"
import { Console, Effect } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import packageJson from "../../package.json" with { type: "json" }
import { completions } from "./completions.ts"
import { ExitWithCode } from "./ExitWithCode.ts"
import { openFilesProblem } from "./openFiles.ts"
import { protocolCommands, reportFailure } from "./protocolCommands.ts"
import { runCommand } from "./runCommand.ts"
import { withConsole } from "./stdout.ts"
import { usagePresenter, WRONG_USAGE } from "./usageErrors.ts"
import { workerCommand } from "./workerCommand.ts"

const root = Command.make("source-prometheus").pipe(
  Command.withDescription(
    "Replicates Prometheus metrics, as an Airbyte source connector or without Airbyte. Exit codes: 0 for success, 1 for an error, 2 for wrong usage"
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
  Command.withSubcommands([...protocolCommands, runCommand, workerCommand])
)

const verbs: ReadonlySet<string> = new Set<string>(protocolCommands.map(({ name }) => name))

/** Whether all output, including errors, is protocol messages. */
const isProtocol = (args: ReadonlyArray<string>): boolean => verbs.has(args[0] ?? "") && !isatty(1)

/** The commands that open files or connections. */
const working: ReadonlySet<string> = new Set(["check", "discover", "read", "run", "worker"])

/** Fails early if the process may open too few files. */
const checkOpenFiles = Effect.fnUntraced(function* (args: ReadonlyArray<string>) {
  const message = working.has(args[0] ?? "") ? openFilesProblem() : undefined
  if (message === undefined) return
  yield* isProtocol(args) && !args.includes("--human")
    ? reportFailure({ message, failure_type: "system_error" })
    : Console.error(message)
  return yield* new ExitWithCode({})
})

/** Reports wrong usage. */
const presenter = (args: ReadonlyArray<string>) =>
  usagePresenter((message) =>
    isProtocol(args)
      ? Effect.ignore(reportFailure({ message, failure_type: "config_error" }))
      : Console.error(message)
  )

const command = (args: ReadonlyArray<string>) =>
  checkOpenFiles(args).pipe(
    Effect.andThen(Command.runWith(root, { version: packageJson.version })(args)),
    Effect.as(0),
    Effect.catchTag("ExitWithCode", ({ exitCode = 1 }) => Effect.succeed(exitCode)),
    // The command has already reported its error.
    Effect.catchIf(
      (error): error is CliError.CliError => CliError.isCliError(error),
      () => Effect.succeed(WRONG_USAGE)
    ),
    // Without Effect's wizard and --log-level: the protocol has --debug.
    Effect.provideService(CliConfig.CliConfig, {
      builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions]
    }),
    Effect.provide(CliOutput.layerPresenter(presenter(args)))
  )

/**
 * Runs the program with command line arguments and returns its exit code. Fails with `OutputClosed` if its output cannot be
 * written.
 */
export const main = (args: ReadonlyArray<string>) =>
  Effect.flatMap(withConsole(command(args)), ([exitCode, unwritten]) =>
    unwritten === undefined ? Effect.succeed(exitCode) : Effect.as(Console.error(unwritten), exitCode || 1)
  )
