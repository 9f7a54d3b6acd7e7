// The two packages of npm, made from one build: the library without a command and without DuckDB, and the commands with it.
// Projects that use the library get neither 70 MB of DuckDB nor a command called `effect`.
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { thirdPartyLicences } from "./licenses.mjs"

const LICENCES = "THIRD-PARTY-LICENSES"

/** The two manifests. What they have in common, and all versions, are those of the project's own manifest. */
export const manifestsOf = (project) => {
  const { description, engines, license, name, repository, type, version } = project
  const common = { version, license, type, engines, repository }
  return [
    {
      name,
      ...common,
      description:
        "Reads Prometheus metrics exactly once per step: a library on Effect, with a mock Prometheus for tests",
      main: project.main,
      types: project.types,
      exports: project.exports,
      sideEffects: false,
      files: ["dist"],
      peerDependencies: project.peerDependencies
    },
    {
      name: `${name}-cli`,
      ...common,
      description,
      bin: project.bin,
      // Nothing to import: that is in the library.
      exports: { "./package.json": "./package.json" },
      files: ["dist"],
      dependencies: project.dependencies
    }
  ]
}

/** The outputs of the bundles that any of the entries imports, directly or indirectly. `outputs` are those of esbuild's metafiles. */
const reached = (outputs, entries) => {
  const found = new Map()
  const reach = (path) => {
    const output = outputs[path]
    if (output === undefined || found.has(path)) return
    found.set(path, output)
    for (const imported of output.imports) {
      reach(imported.external ? join(dirname(path), imported.path) : imported.path)
    }
  }
  for (const entry of entries) reach(entry)
  return Object.fromEntries(found)
}

/**
 * Writes both packages below `folder`/packages. `page` are the outputs that the report contains as text, so that nothing
 * imports them.
 */
export const writePackages = ({ folder, outputs, page, types }) => {
  const project = JSON.parse(readFileSync("package.json", "utf8"))
  for (const manifest of manifestsOf(project)) {
    const isLibrary = manifest.bin === undefined
    const entries = isLibrary ? ["index.js", "testing.js"] : ["main.mjs"]
    const contents = reached(
      outputs,
      entries.map((entry) => join(folder, entry))
    )
    const target = join(folder, "packages", manifest.name)
    mkdirSync(join(target, "dist"), { recursive: true })
    const launcher = isLibrary ? [] : Object.values(manifest.bin).map((path) => basename(path))
    for (const file of new Set([...Object.keys(contents).map((path) => basename(path)), ...launcher])) {
      copyFileSync(join(folder, file), join(target, "dist", file))
    }
    if (isLibrary) cpSync(types, join(target, "dist", basename(types)), { recursive: true })
    const licences = thirdPartyLicences({ outputs: isLibrary ? contents : { ...contents, ...page } })
    writeFileSync(join(target, "dist", LICENCES), licences)
    for (const file of ["README.md", "LICENSE"]) copyFileSync(file, join(target, file))
    writeFileSync(join(target, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`)
  }
}
