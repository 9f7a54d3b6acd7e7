// Builds `dist`: the program, the library, and npm's package of each (dist/packages).
import { execFileSync } from "node:child_process"
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { build } from "esbuild"
import { connectionSpecification } from "../src/config/spec.ts"
import { thirdPartyLicences } from "./licenses.mjs"
import { writePackages } from "./packages.mjs"
import { bundlePage, inlined } from "./page.ts"
import { compileAll } from "./wasm.ts"

const { bin, engines, name } = JSON.parse(readFileSync("package.json", "utf8"))
const executable = bin[name]
const folder = dirname(executable)
const types = `${folder}/types`
const needed = engines.node.replace(/^>=/, "")

rmSync(folder, { recursive: true, force: true })

// The program: `source-prometheus.js` starts `main.mjs`. With the file that it shares with the cluster, that is nearly everything.
//
// There are two files because Node only caches the compiled code of modules that are loaded after the cache is enabled.
// This reduces startup time by a fifth. The launcher is old JavaScript, so that an old Node can print its message.
//
// Node runs any code in its cache. By default the cache is in the temporary folder, where another user may have created it
// first. Our cache belongs to the user, and no one else can write to it or replace a folder above it: each folder belongs
// to the user or to root, and others cannot write to it unless it is sticky. Otherwise no cache is used.
const launcher = `#!/usr/bin/env node
import fs from "node:fs"
import module from "node:module"
import path from "node:path"
var needed = ${JSON.stringify(needed)}.split("."), current = process.versions.node.split(".")
var older = +current[0] !== +needed[0] ? +current[0] < +needed[0] : +current[1] < +needed[1]
if (older) {
  process.stderr.write("${name} needs Node ${needed} or newer; this is Node " + process.versions.node + ".\\n")
  process.exit(1)
}
function isSafe(folder, user) {
  for (;;) {
    var stat = fs.lstatSync(folder), parent = path.dirname(folder)
    if (!stat.isDirectory() || (stat.uid !== user && stat.uid !== 0)) return false
    if ((stat.mode & 0o022) !== 0 && (stat.mode & 0o1000) === 0) return false
    if (parent === folder) return true
    folder = parent
  }
}
function makeFolder(folder) {
  try {
    fs.mkdirSync(folder, 0o700)
  } catch (error) {
    if (error.code !== "EEXIST") throw error
  }
}
function cacheFolder(environment) {
  if (!process.geteuid) return
  var user = process.geteuid(), home = environment.HOME, base = environment.XDG_CACHE_HOME
  if (!base || !path.isAbsolute(base)) {
    if (!home || !path.isAbsolute(home) || path.resolve(home) === "/") return
    base = path.join(home, ".cache")
  }
  var parent = fs.realpathSync(path.dirname(path.resolve(base)))
  if (!isSafe(parent, user)) return
  base = path.join(parent, path.basename(base))
  makeFolder(base)
  base = fs.realpathSync(base)
  if (!isSafe(base, user)) return
  var folder = path.join(base, "${name}")
  makeFolder(folder)
  var stat = fs.lstatSync(folder)
  if (stat.isDirectory() && stat.uid === user && (stat.mode & 0o077) === 0) return folder
}
// The user decided by setting one of these.
if (!process.env.NODE_COMPILE_CACHE && !process.env.NODE_DISABLE_COMPILE_CACHE) {
  try {
    var cache = cacheFolder(process.env)
    if (cache) module.enableCompileCache(cache)
  } catch (error) {
    // It starts without one.
  }
}
import("./main.mjs")
`

// Modules that Effect loads only for features not used here. Bundled, they would wrap half of all modules in functions
// and keep all their exports.
const unused = {
  name: "unused",
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/(Undici|internal\/upgrade)\.js$/ }, ({ kind, path }) =>
      kind === "dynamic-import" ? { path, external: true } : undefined
    )
}

/** A module that fails when something of it is used. */
const absent = (name) =>
  `module.exports = new Proxy({}, { get(_, member) { throw new Error("${name} is not in this bundle: " + String(member)) } })`

// What the command line of Effect imports for features that no command has: prompts, and files of arguments in TOML and YAML.
// A bundler cannot see that, so an import of them is replaced by one that fails when it is used.
const withoutPrompts = {
  name: "withoutPrompts",
  setup: ({ onLoad }) =>
    onLoad(
      { filter: /\/effect\/dist\/(cli\/(Prompt|internal\/wizard)|encoding\/(Toml|Yaml))\.js$/ },
      ({ path }) => ({
        contents: absent(path.replace(/^.*\/dist\//, "")),
        loader: "js"
      })
    )
}

// The form of the configuration never changes, so it is made here. At a start that would take a tenth of the time.
const preparedForm = {
  name: "preparedForm",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\/src\/config\/spec\.ts$/ }, () => ({
      contents: `export const connectionSpecification = () => (${JSON.stringify(connectionSpecification())})`,
      loader: "js"
    }))
}

// Parts that few runs need are separate files, loaded on first use, so that they do not slow down every start. The library
// shares them with the program.
const parts = [
  { entry: "src/report/html/reportHtml.ts", file: "report.mjs", plugins: async () => [inlined(await page)] },
  { entry: "src/promql/RegularExpression.ts", file: "regexp.mjs" },
  { entry: "src/promql/PromqlParser.ts", file: "promql.mjs" },
  { entry: "src/prometheus/http/authentication/awsCredentials.ts", file: "aws.mjs" },
  // Its newer format of modules: a bundler can leave out unused parts of it.
  { entry: "src/destinations/objects/s3Library.ts", file: "s3.mjs", mainFields: ["module", "main"] },
  {
    entry: "src/prometheus/http/authentication/googleLibrary.ts",
    file: "google.mjs",
    plugins: () => [withoutNetwork]
  }
]

// What Google's library would send requests with. The program does that itself.
const withoutNetwork = {
  name: "withoutNetwork",
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^(gcp-metadata|https-proxy-agent|node-fetch)$/ }, ({ path }) => ({
      path,
      namespace: "withoutNetwork"
    }))
    onLoad({ filter: /^/, namespace: "withoutNetwork" }, ({ path }) => ({ contents: absent(path) }))
  }
}

const apart = {
  name: "apart",
  setup: ({ onResolve }) => {
    const files = new Map(parts.map(({ entry, file }) => [basename(entry), file]))
    onResolve({ filter: /^\.\// }, ({ kind, path }) => {
      const file = files.get(basename(path))
      return kind === "dynamic-import" && file !== undefined
        ? { path: `./${file}`, external: true }
        : undefined
    })
  }
}

await compileAll()

const common = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  logLevel: "warning",
  metafile: true
}

// The cluster is a separate file too, but its services are those of the program, and so is Effect: both share a third file.
const program = await build({
  ...common,
  entryPoints: { main: "src/bin.ts", cluster: "src/cluster/cluster.ts" },
  outdir: folder,
  outExtension: { ".js": ".mjs" },
  splitting: true,
  chunkNames: "common-[hash]",
  minify: true,
  legalComments: "inline",
  // A native module, which is only used if it is installed.
  external: ["@duckdb/node-api"],
  plugins: [unused, withoutPrompts, preparedForm, apart]
})

const page = bundlePage()
const bundledParts = []
for (const { entry, file, mainFields, plugins } of parts) {
  bundledParts.push(
    await build({
      ...common,
      ...(mainFields === undefined ? {} : { mainFields }),
      entryPoints: [entry],
      outfile: `${folder}/${file}`,
      minify: true,
      legalComments: "inline",
      // Packages in the older format of modules use it.
      banner: {
        js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);'
      },
      plugins: (await plugins?.()) ?? []
    })
  )
}

// The library: a separate file contains what it shares with its mock, so that both have the same services. The importer
// provides Effect. The used parts of the platform package are bundled, because that package has more dependencies.
const library = await build({
  ...common,
  entryPoints: ["src/index.ts", "src/testing.ts"],
  outdir: folder,
  splitting: true,
  chunkNames: "shared-[hash]",
  external: ["effect"],
  plugins: [unused, apart]
})

execFileSync(
  process.execPath,
  ["node_modules/typescript/bin/tsc", "--project", "tsconfig.build.json", "--outDir", types],
  { stdio: "inherit" }
)

/** The declarations that a file imports, directly or indirectly. */
const neededBy = (file, found = new Set()) => {
  if (found.has(file)) return found
  found.add(file)
  for (const [, imported] of readFileSync(file, "utf8").matchAll(/(?:from |import\()"(\.[^"]+)\.ts"/g)) {
    neededBy(resolve(dirname(file), `${imported}.d.ts`), found)
  }
  return found
}

const public_ = new Set(
  ["index", "testing"].flatMap((entry) => [...neededBy(resolve(types, `${entry}.d.ts`))])
)
for (const { name: file, parentPath } of readdirSync(types, { recursive: true, withFileTypes: true })) {
  const path = resolve(join(parentPath, file))
  if (file.endsWith(".d.ts") && !public_.has(path)) rmSync(path)
}

const bundles = [program, library, ...bundledParts].map(({ metafile }) => metafile)
const { outputs: pageOutputs } = await page
const outputs = Object.assign({}, ...bundles.map((bundle) => bundle.outputs))
writeFileSync(
  `${folder}/THIRD-PARTY-LICENSES`,
  thirdPartyLicences({ outputs: { ...outputs, ...pageOutputs } })
)

writeFileSync(executable, launcher)
chmodSync(executable, 0o755)
writePackages({ folder, outputs, page: pageOutputs, types })
// Its time marks the build as complete.
writeFileSync(executable, launcher)
