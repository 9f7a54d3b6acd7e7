/** The packages as they are published, installed into separate projects outside of this one. */
import { execFileSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import packageJson from "../../package.json" with { type: "json" }

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The library, and the commands. */
export type PackageName = "source-prometheus" | "source-prometheus-cli"

/** What `npm pack` reports about a package. */
export interface Packed {
  readonly name: string
  readonly path: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: ReadonlyArray<{ readonly path: string; readonly mode: number }>
}

/** A folder for projects; `remove` deletes it. */
export const temporaryFolder = (): { readonly path: string; readonly remove: () => void } => {
  const path = mkdtempSync(join(tmpdir(), "source-prometheus-package-"))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Packs a package that the build has written. */
export const pack = (folder: string, name: PackageName): Packed => {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--pack-destination", folder, `./dist/packages/${name}`], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    })
  ) as ReadonlyArray<Omit<Packed, "path"> & { readonly filename: string }>
  return { ...packed!, path: join(folder, packed!.filename) }
}

type DevDependency = keyof typeof packageJson.devDependencies

/** Installs a package with some of this project's dependencies, in the same versions. */
export const install = (
  folder: string,
  { name, path }: Pick<Packed, "name" | "path">,
  dependencies: ReadonlyArray<DevDependency>
): void => {
  const versions = dependencies.map((name) => [name, packageJson.devDependencies[name]] as const)
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({
      private: true,
      type: "module",
      dependencies: { [name]: `file:${path}`, ...Object.fromEntries(versions) }
    })
  )
  try {
    execFileSync("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund"], {
      cwd: folder,
      encoding: "utf8",
      stdio: "pipe"
    })
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string }
    throw new Error(`npm cannot install the package into a fresh project: ${stderr ?? String(error)}`)
  }
}

/** The examples, by name. */
export const examples: ReadonlyArray<string> = readdirSync(join(root, "examples")).filter((name) =>
  name.endsWith(".ts")
)

export const copyExamples = (folder: string): void => {
  for (const name of examples) copyFileSync(join(root, "examples", name), join(folder, name))
}
