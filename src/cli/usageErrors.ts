/** Messages for wrong usage: the error in the command line, and its fix. */
import type { Effect } from "effect"
import { type CliError, CliOutput } from "effect/cli"
import { keys } from "../config/keys.ts"
import { printable } from "../text/printable.ts"
import { printHelp } from "./help.ts"
import { helpSections } from "./keyFlags.ts"

/** The usual exit code for wrong usage. */
export const WRONG_USAGE = 2

/** A sentence with a fix for each wrong flag, and a pointer to the help. */
const usageText = (
  errors: ReadonlyArray<CliError.NonShowHelpErrors>,
  commandPath: ReadonlyArray<string>
): string => {
  const unknownCommand = errors.filter(({ _tag }) => _tag === "UnknownSubcommand")
  const command = commandPath.join(" ")
  // An unknown command makes all its flags unknown: do not report them.
  const reported = unknownCommand.length > 0 ? unknownCommand : errors
  // An unknown flag may be given several times.
  const sentences = [...new Set(reported.map((error) => sentence(error, command)))]
  // They quote the command line, which a script may have filled with a server's text.
  return `${printable(sentences.join(" "))} See ${command} --help.`
}

const sentence = (error: CliError.NonShowHelpErrors, command: string): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return `${command} has no flag ${error.option}.${suggestion(error.suggestions)}`
    case "UnknownSubcommand":
      return `${command} has no command ${error.subcommand}.${suggestion(error.suggestions)}`
    case "MissingOption":
      return `The flag --${error.option} is missing.`
    case "UnexpectedArgument":
      return `Unexpected argument ${error.arguments.map((text) => JSON.stringify(text)).join(", ")}: quote patterns, because the shell replaces * with file names.`
    case "InvalidValue": {
      const times = /^(\d+) occurrences$/.exec(error.value)?.[1]
      if (times !== undefined) return `The flag --${error.option} is given ${times} times: give it once.`
      return oneLine(error.message)
    }
    default:
      return oneLine(error.message)
  }
}

const suggestion = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "" : ` Did you mean ${names.join(" or ")}?`

const oneLine = (text: string): string => `${text.replace(/\s+/g, " ").replace(/[.?]? *$/, "")}.`

/** Reports wrong usage in a few lines instead of the complete help. Help has the flags in sections. */
export const usagePresenter = (report: (text: string) => Effect.Effect<void>): CliOutput.Presenter => ({
  present: (event) => {
    switch (event._tag) {
      case "InvalidInvocation":
        return report(usageText(event.errors, event.commandPath))
      case "Help": {
        const sections = helpSections(keys)
        return printHelp(event.helpDoc, (flag) => sections.get(flag))
      }
      default:
        return CliOutput.defaultPresenter.present(event)
    }
  }
})
