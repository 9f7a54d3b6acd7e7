/** The help of a command, with its flags in sections. */
import { Console, Context, Effect, Option } from "effect"
import { CliOutput, type HelpDoc, TerminalCapabilities } from "effect/cli"
import { coloured, type Paint, plain } from "../terminal/Appearance.ts"
import { padEnd, textWidth, wrap } from "../terminal/textWidth.ts"

/** Narrower descriptions would be hard to read. */
const LEAST_COLUMNS = 30

/** How the flags are laid out. */
interface Layout {
  readonly columns: number
  readonly paint: Paint
}

/** Formats help. `sectionOf` names the section of a flag; those without one come first. */
export const helpText = (
  doc: HelpDoc.HelpDoc,
  sectionOf: (flag: string) => string | undefined,
  { columns, paint }: Layout
): string => {
  const text = CliOutput.defaultFormatter({ colors: paint !== plain }).formatHelpDoc({ ...doc, flags: [] })
  const sections = new Map<string, Array<HelpDoc.FlagDoc>>([["FLAGS", []]])
  for (const flag of doc.flags) {
    const section = sectionOf(flag.name) ?? "FLAGS"
    sections.set(section, [...(sections.get(section) ?? []), flag])
  }
  if (doc.flags.length === 0) return text
  const names = doc.flags.map(nameOf)
  const left = Math.max(0, ...names.map(textWidth)) + 4
  const width = Math.max(LEAST_COLUMNS, columns - left - 2)
  const lines = [...sections].flatMap(([title, flags]) =>
    flags.length === 0
      ? []
      : [
          paint("strong", title),
          ...flags.flatMap((flag) => {
            const [first = "", ...others] = wrap(
              Option.getOrElse(flag.description, () => ""),
              width
            )
            return [
              `  ${paint("good", padEnd(nameOf(flag), left))}${first}`.trimEnd(),
              ...others.map((line) => `${" ".repeat(left + 2)}${line}`)
            ]
          }),
          ""
        ]
  )
  // What Effect prints after the flags: those of all commands, and examples.
  const end = text.search(/^\S*GLOBAL FLAGS/m)
  return end < 0
    ? `${text}\n\n${lines.join("\n")}`.trimEnd()
    : `${text.slice(0, end)}${lines.join("\n")}\n${text.slice(end)}`
}

const nameOf = ({ aliases, name, type }: HelpDoc.FlagDoc): string =>
  `${[`--${name}`, ...aliases].join(", ")}${type === "boolean" ? "" : ` ${type}`}`

/** Prints help as wide as the terminal. */
export const printHelp = (
  doc: HelpDoc.HelpDoc,
  sectionOf: (flag: string) => string | undefined
): Effect.Effect<void> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Console.log(
      helpText(doc, sectionOf, {
        columns: (process.stdout.isTTY && process.stdout.columns) || Number.POSITIVE_INFINITY,
        paint: Context.get(context, TerminalCapabilities.TerminalCapabilities).canColor ? coloured : plain
      })
    )
  )
