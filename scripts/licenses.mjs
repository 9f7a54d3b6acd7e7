// The licences of bundled packages, which must accompany their code.
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** The folder of the package that a bundled file belongs to; undefined for the project's own. */
const packageOf = (path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0]

const licenceOf = (folder) => {
  const { license, name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.(md|txt))?$/i.test(entry))
  if (typeof license !== "string" || file === undefined) {
    throw new Error(`${name} ${version} is bundled, but its package does not name a licence: look it up.`)
  }
  return { title: `${name} ${version} (${license})`, text: readFileSync(join(folder, file), "utf8").trim() }
}

/** Creates one text from esbuild's metafile: the packages with code in an output, sorted by name. */
export const thirdPartyLicences = ({ outputs }) => {
  const bundled = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : []))
  )
  const folders = [...new Set(bundled.map(packageOf).filter((folder) => folder !== undefined))].sort()
  // Packages of one project have the same text, which is written once.
  const titles = Map.groupBy(folders.map(licenceOf), ({ text }) => text)
  const licences = [...titles].map(([text, packages]) => {
    const names = packages.map(({ title }) => title).join("\n")
    return `${names}\n${"=".repeat(Math.max(...packages.map(({ title }) => title.length)))}\n\n${text}\n`
  })
  return `This program contains code of these packages.\n\n${licences.join("\n\n")}`
}
