/** What is wrong with a command line, told so that whoever typed it knows what to type instead. */
import { Console } from "effect"
import { type CliError, CliOutput } from "effect/cli"
import { printable } from "../text/printable.ts"

/** The exit code of a command line that is wrong, as other programs have it. */
export const WRONG_USAGE = 2

/** Sentences that name each flag that is wrong and the fix, and where to read more. */
export const usageText = (
  errors: ReadonlyArray<CliError.NonShowHelpErrors>,
  commandPath: ReadonlyArray<string>
): string => {
  const unknownCommand = errors.filter(({ _tag }) => _tag === "UnknownSubcommand")
  const command = commandPath.join(" ")
  // The flags of a command that does not exist are no mistake of their own.
  const sentences = (unknownCommand.length > 0 ? unknownCommand : errors).map((error) =>
    sentence(error, command)
  )
  // They quote what was typed, or what a script made of a server's words.
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
      return `No flag takes ${error.arguments.map((text) => JSON.stringify(text)).join(", ")}: put patterns in quotes, as the shell replaces * by the names of files.`
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

/** Tells people on standard error what is wrong, in a few words instead of the whole help. */
export const stderrPresenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(usageText(event.errors, event.commandPath))
      : CliOutput.defaultPresenter.present(event)
}
