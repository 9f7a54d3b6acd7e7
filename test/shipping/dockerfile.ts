/** What the Dockerfile's last stage says of the image, without building it. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const text = readFileSync(fileURLToPath(new URL("../../Dockerfile", import.meta.url)), "utf8")
const stage = text.slice(text.lastIndexOf("\nFROM ")).replace(/\\\n\s*/g, "")

/** The default of a build argument. */
export const argument = (name: string): string | undefined =>
  new RegExp(`^ARG ${name}=(.*)$`, "m").exec(text)?.[1]

/** What follows an instruction of the last stage. */
const instruction = (name: string): string => {
  const lines = stage.split("\n").filter((line) => line.startsWith(`${name} `))
  if (lines.length !== 1) throw new Error(`The last stage has ${lines.length} lines with ${name}.`)
  return lines[0]!.slice(name.length + 1)
}

const pairs = (name: string): Record<string, string> =>
  Object.fromEntries(
    [...instruction(name).matchAll(/([\w.]+)=(?:"([^"]*)"|(\S+))/g)].map(([, key, quoted, bare]) => [
      key,
      (quoted ?? bare ?? "").replaceAll(/\$\{(\w+)\}/g, (_, name) => argument(name) ?? "")
    ])
  )

export const entrypoint: ReadonlyArray<string> = JSON.parse(instruction("ENTRYPOINT"))
export const environment = pairs("ENV")
export const labels = pairs("LABEL")
export const user = instruction("USER")
export const workingFolder = instruction("WORKDIR")
