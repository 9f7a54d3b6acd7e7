/** The flag `--completions`: prints a completion script for a shell. */
import { basename } from "node:path"
import { Console, Effect, Option } from "effect"
import { Completions, GlobalFlag } from "effect/cli"

/** Flags that take the path of a file. The program declares them as strings, so that they accept pipes too. */
const namesFile = /^(config|catalog|state|report|.*-file)$/

const withFiles = (command: Completions.CommandDescriptor): Completions.CommandDescriptor => ({
  ...command,
  flags: command.flags.map((flag) =>
    flag.type._tag === "String" && namesFile.test(flag.name)
      ? { ...flag, type: { _tag: "Path", pathType: "file" } }
      : flag
  ),
  subcommands: command.subcommands.map(withFiles)
})

/** The program has two names. The script completes the one that was used. */
const startedAs = (name: string): string => (basename(process.argv[1] ?? "") === "effect" ? "effect" : name)

/** Effect's own flag, extended with completion of file paths. */
export const completions = GlobalFlag.Action({
  flag: GlobalFlag.Completions.flag,
  run: (shell, { command }) =>
    Option.match(shell, {
      onNone: () => Effect.void,
      onSome: (shell) => {
        const name = startedAs(command.name)
        return Console.log(
          Completions.generate(name, shell, { ...withFiles(Completions.fromCommand(command)), name })
        )
      }
    })
})
