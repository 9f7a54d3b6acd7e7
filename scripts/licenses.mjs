// The licences of bundled packages, which must accompany their code.
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** The folder of the package that a bundled file belongs to; undefined for the project's own. */
const packageOf = (path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0]

const manifestOf = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))

const licenceFile = (folder) => readdirSync(folder).find((entry) => /^licen[cs]e(\.(md|txt))?$/i.test(entry))

/** Packages of the same repository have the same licence, and some lack its text. */
const sibling = (folder, folders) => {
  const { license, repository } = manifestOf(folder)
  const isSame = (other) => other.license === license && other.repository?.url === repository?.url
  return repository === undefined
    ? undefined
    : folders.find((other) => licenceFile(other) !== undefined && isSame(manifestOf(other)))
}

const licenceOf = (folder, _, folders) => {
  const { license, name, version } = manifestOf(folder)
  const place = licenceFile(folder) === undefined ? sibling(folder, folders) : folder
  if (typeof license !== "string" || place === undefined) {
    throw new Error(`${name} ${version} is bundled, but its package does not name a licence: look it up.`)
  }
  return {
    title: `${name} ${version} (${license})`,
    text: readFileSync(join(place, licenceFile(place)), "utf8").trim()
  }
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
