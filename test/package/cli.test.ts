/** The published commands: installed into a project, globally, and by npx, each from the packed file alone. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import packageJson from "../../package.json" with { type: "json" }
import { install, type Packed, pack, temporaryFolder } from "./freshProject.ts"

const NAME = "source-prometheus-cli"
const commands = ["source-prometheus", "effect"] as const

const temporary = temporaryFolder()
const project = join(temporary.path, "project")
let packed: Packed

beforeAll(() => {
  packed = pack(temporary.path, NAME)
  mkdirSync(project)
  install(project, packed, [])
})

afterAll(() => temporary.remove())

/** The output of a command in a folder. */
const execute = (
  folder: string,
  command: string,
  args: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv = process.env
): string =>
  execFileSync(command, args, { cwd: folder, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

const typeOf = (message: string): unknown => (JSON.parse(message) as { readonly type: unknown }).type

describe("the package of the commands", () => {
  it("contains exactly the files that it needs, the program with permission", () => {
    const paths = packed.files.map(({ path }) => path.replace(/^(dist\/common-)\w+(\.mjs)$/, "$1$2"))
    assert.deepStrictEqual(paths.sort(), [
      "LICENSE",
      "README.md",
      "dist/THIRD-PARTY-LICENSES",
      "dist/aws.mjs",
      "dist/cluster.mjs",
      "dist/common-.mjs",
      "dist/google.mjs",
      "dist/main.mjs",
      "dist/promql.mjs",
      "dist/regexp.mjs",
      "dist/report.mjs",
      "dist/s3.mjs",
      "dist/source-prometheus.js",
      "package.json"
    ])
    for (const bin of Object.values(packageJson.bin)) {
      const mode = packed.files.find(({ path }) => path === bin)?.mode ?? 0
      assert.strictEqual(mode & 0o111, 0o111, bin)
    }
  })

  it("is small", () => {
    assert.isBelow(packed.size, 1_000_000)
    assert.isBelow(packed.unpackedSize, 3_100_000)
  })

  it("depends on DuckDB's pinned version only", () => {
    const folder = join(project, "node_modules")
    const manifest = JSON.parse(readFileSync(join(folder, NAME, "package.json"), "utf8"))
    assert.deepStrictEqual(manifest.dependencies, packageJson.dependencies)
    assert.notProperty(manifest, "peerDependencies")
    const modules = readdirSync(folder).filter((name) => !name.startsWith("."))
    // DuckDB looks with `detect-libc` for its binding.
    assert.deepStrictEqual(modules.sort(), ["@duckdb", "detect-libc", NAME])
  })

  it("names the licences of what it contains", () => {
    const licences = readFileSync(join(project, "node_modules", NAME, "dist/THIRD-PARTY-LICENSES"), "utf8")
    for (const name of ["effect", "re2js", "uplot"] as const) {
      assert.include(licences, `\n${name} ${packageJson.devDependencies[name]} (`)
    }
  })
})

describe("in a project", () => {
  it.each(commands)("npx runs the command %s", (command) => {
    const npx = (...args: ReadonlyArray<string>) =>
      execute(project, "npx", ["--no-install", command, ...args])
    assert.strictEqual(npx("--version"), `source-prometheus v${packageJson.version}\n`)
    assert.strictEqual(typeOf(npx("spec")), "SPEC")
  })

  it("a run writes into DuckDB", () => {
    const printed = execute(project, "npx", [
      "--no-install",
      "effect",
      "run",
      "--demo",
      "--to",
      "duckdb:d.duckdb"
    ])
    assert.match(printed, /[1-9][\d,]* new rows/)
    assert.isTrue(existsSync(join(project, "d.duckdb")))
  })
})

describe("without a project", () => {
  it("npx fetches the package and runs its command", () => {
    const folder = join(temporary.path, "npx")
    mkdirSync(folder)
    const args = [
      "--yes",
      "--prefer-offline",
      `file:${packed.path}`,
      "run",
      "--demo",
      "--to",
      "parquet:metrics"
    ]
    // npx keeps what it fetches in npm's cache, which is not to be this user's.
    const env = { ...process.env, npm_config_cache: join(folder, "cache") }
    assert.match(execute(folder, "npx", args, env), /[1-9][\d,]* new rows/)
    assert.isTrue(existsSync(join(folder, "metrics/queue_depth")))
  })

  it("npm installs both commands globally", () => {
    const prefix = join(temporary.path, "global")
    mkdirSync(prefix)
    const args = [
      "install",
      "--global",
      "--prefix",
      prefix,
      "--prefer-offline",
      "--no-audit",
      "--no-fund",
      packed.path
    ]
    execute(temporary.path, "npm", args)
    const PATH = [join(prefix, "bin"), process.env.PATH].join(delimiter)
    for (const command of commands) {
      assert.strictEqual(typeOf(execute(prefix, command, ["spec"], { ...process.env, PATH })), "SPEC")
    }
    execute(prefix, "effect", ["run", "--demo", "--to", "duckdb:d.duckdb"], { ...process.env, PATH })
    assert.isTrue(existsSync(join(prefix, "d.duckdb")))
  })
})
