/** The flag `--completions`: what a shell needs to know to complete a command line. */
import { basename } from "node:path"
import { Console, Effect, Option } from "effect"
import { Completions, GlobalFlag } from "effect/cli"

/** Flags whose value is the path of a file. As texts to the program, they take whatever can be read, pipes included. */
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

/** The program has two names; what is completed is the one that it was started by. */
const startedAs = (name: string): string => (basename(process.argv[1] ?? "") === "effect" ? "effect" : name)

/** Effect's own flag, with the files that it does not know of. */
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
