/** The flag `--completions`: a script with which a shell completes command lines. */
import { basename } from "node:path"
import { Console, Effect, Option } from "effect"
import { Completions, GlobalFlag } from "effect/cli"

/** Flags whose value is the path of a file. To the program they are texts, so that they accept pipes, too. */
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

/** The program has two names; the script is for the one by which it was started. */
const startedAs = (name: string): string => (basename(process.argv[1] ?? "") === "effect" ? "effect" : name)

/** Effect's own flag, with paths of files added. */
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
