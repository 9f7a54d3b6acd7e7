/** What the flake asks nixpkgs for, for every system. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import packageJson from "../../package.json" with { type: "json" }
import lock from "../../package-lock.json" with { type: "json" }
import * as dockerfile from "./dockerfile.ts"

const folder = process.env.VERIFIED_FLAKE
if (folder === undefined) throw new Error('VERIFIED_FLAKE is not set: run "scripts/verify-flake.sh".')
const read = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"))

interface Package {
  readonly pname: string
  readonly version: string
  readonly src: ReadonlyArray<string>
  readonly nodejs: string
  readonly npmDeps: string
  readonly npmConfigHook: string
  readonly meta: Readonly<Record<string, unknown>>
}

interface Image {
  readonly name: string
  readonly tag: string
  readonly config: {
    readonly User: string
    readonly WorkingDir: string
    readonly Entrypoint: ReadonlyArray<string>
    readonly Env: ReadonlyArray<string>
    readonly Labels: Readonly<Record<string, string>>
  }
}

type PerSystem<A> = Readonly<Record<string, A>>

const packages: PerSystem<{
  readonly package: Package
  /** By their path in the lock file. */
  readonly dependencies: Readonly<Record<string, { readonly outputHash: string; readonly command: string }>>
  readonly image: Image | null
}> = read("packages")
const apps: PerSystem<{ readonly default: { readonly type: string; readonly program: string } }> =
  read("apps")
const devShells: PerSystem<ReadonlyArray<string>> = read("devShells")
const checks: PerSystem<ReadonlyArray<string>> = read("checks")

const systems = ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"]
const isLinux = (system: string) => system.endsWith("-linux")

it("offers everything for the four systems", () => {
  for (const output of [packages, apps, devShells, checks])
    assert.deepStrictEqual(Object.keys(output).sort(), systems)
})

it("is locked to a revision of nixpkgs", () => {
  const { nixpkgs, root } = read("metadata").locks.nodes
  assert.deepStrictEqual(root, { inputs: { nixpkgs: "nixpkgs" } })
  const { narHash, owner, repo, rev } = nixpkgs.locked
  assert.deepStrictEqual([owner, repo], ["NixOS", "nixpkgs"])
  assert.match(rev, /^[0-9a-f]{40}$/)
  assert.match(narHash, /^sha256-[\w+/]{43}=$/)
})

for (const system of systems) {
  describe(system, () => {
    it("builds the package of package.json from what the build needs", () => {
      const { meta, nodejs, npmConfigHook, npmDeps, pname, src, version } = packages[system]!.package
      assert.deepStrictEqual([pname, version], [packageJson.name, packageJson.version])
      assert.includeMembers(
        [...src],
        ["package.json", "package-lock.json", "scripts", "src", "README.md", "LICENSE"]
      )
      assert.match(nodejs, /-nodejs-24$/)
      assert.match(npmDeps, /-npm-dependencies$/)
      assert.match(npmConfigHook, /-npm-config-hook$/)
      assert.deepInclude(meta, { description: packageJson.description, mainProgram: "source-prometheus" })
      assert.property(packageJson.bin, meta.mainProgram as string)
      assert.deepStrictEqual(meta.license, { spdxId: packageJson.license })
    })

    it("runs the package as its app, and checks it", () => {
      const { program, type } = apps[system]!.default
      assert.strictEqual(type, "app")
      assert.match(program, new RegExp(`-source-prometheus-${packageJson.version}/bin/source-prometheus$`))
      assert.deepStrictEqual(checks[system], [...(isLinux(system) ? ["image"] : []), "package", "version"])
    })

    it("has the servers of the tests in its shell", () => {
      const tools = ["nodejs-24", "prometheus", "prometheus-cli", "victoriametrics", "duckdb"]
      assert.deepStrictEqual(devShells[system], tools)
    })

    it("makes the Dockerfile's image of it, where containers are", () => {
      const { image } = packages[system]!
      assert.strictEqual(image !== null, isLinux(system))
      if (image === null) return
      assert.deepStrictEqual([image.name, image.tag], ["airbyte/source-prometheus", packageJson.version])
      const { Entrypoint, Env, Labels, User, WorkingDir } = image.config
      assert.deepStrictEqual(Entrypoint, dockerfile.connector.entrypoint)
      assert.deepStrictEqual(Labels, dockerfile.connector.labels)
      assert.deepStrictEqual(
        [User, WorkingDir],
        [dockerfile.connector.user, dockerfile.connector.workingFolder]
      )
      assert.deepStrictEqual(
        Env.filter((variable) => !variable.startsWith("PATH=")),
        Object.entries(dockerfile.connector.environment).map((pair) => pair.join("="))
      )
    })
  })
}

it("fetches every package of the lock file by its name, its version and its hash there", () => {
  const expected = Object.entries(lock.packages).flatMap(([path, { version, ...module }]) => {
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length)
    const { integrity = "" } = module as { readonly integrity?: string }
    return path === "" ? [] : [{ path, hash: integrity, fetch: `npm pack --silent "${name}@${version}"` }]
  })
  for (const system of systems) {
    const fetched = Object.entries(packages[system]!.dependencies).map(([path, { command, outputHash }]) => ({
      path,
      hash: outputHash,
      fetch: command.split("\n").find((line) => line.startsWith("npm pack")) ?? ""
    }))
    assert.sameDeepMembers(fetched, expected)
  }
})
