/** What the Dockerfile says of its two images, without building them. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const text = readFileSync(fileURLToPath(new URL("../../Dockerfile", import.meta.url)), "utf8").replace(
  /\\\n\s*/g,
  ""
)

/** The default of a build argument. */
export const argument = (name: string): string | undefined =>
  new RegExp(`^ARG ${name}=(.*)$`, "m").exec(text)?.[1]

const stages = text
  .split(/^(?=FROM )/m)
  .slice(1)
  .map((stage) => {
    const [, base, name] = /^FROM (?:--\S+ )?(\S+) AS (\S+)$/m.exec(stage)!
    return { base: base!, name: name!, lines: stage.split("\n") }
  })

/** The stages in their order. A build without a target makes the last one. */
export const targets: ReadonlyArray<string> = stages.map(({ name }) => name)

/** The lines of a stage, after those of the stages that it is made from. */
const linesOf = (target: string): ReadonlyArray<string> => {
  const stage = stages.find(({ name }) => name === target)
  return stage === undefined ? [] : [...linesOf(stage.base), ...stage.lines]
}

const imageOf = (target: string) => {
  const all = (instruction: string): ReadonlyArray<string> =>
    linesOf(target).flatMap((line) =>
      line.startsWith(`${instruction} `) ? [line.slice(instruction.length + 1)] : []
    )
  const last = (instruction: string): string => {
    const value = all(instruction).at(-1)
    if (value === undefined) throw new Error(`The stage ${target} has no line with ${instruction}.`)
    return value
  }
  const pairs = (instruction: string): Record<string, string> =>
    Object.fromEntries(
      [
        ...all(instruction)
          .join(" ")
          .matchAll(/([\w.]+)=(?:"([^"]*)"|(\S+))/g)
      ].map(([, key, quoted, bare]) => [
        key,
        (quoted ?? bare ?? "").replaceAll(/\$\{(\w+)\}/g, (_, name) => argument(name) ?? "")
      ])
    )
  return {
    entrypoint: JSON.parse(last("ENTRYPOINT")) as ReadonlyArray<string>,
    environment: pairs("ENV"),
    labels: pairs("LABEL"),
    user: last("USER"),
    workingFolder: last("WORKDIR")
  }
}

/** The image for Airbyte, which is built by default. */
export const connector = imageOf(targets.at(-1)!)

/** The image with DuckDB. */
export const run = imageOf("run")
