/**
 * Scripts for children, bundled. Node needs more than a second of CPU to load a script with all modules of Effect, and a third of
 * it for one file: tests that start many children would wait for that most of the time.
 */
import { mkdirSync, readFileSync, renameSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { build, type PluginBuild } from "esbuild"

/** Below `node_modules`, so that Node finds the packages that cannot be bundled. */
const folder = fileURLToPath(new URL("../../node_modules/.cache/source-prometheus-tests", import.meta.url))

const bundles = new Map<string, Promise<string>>()

/** The path of a script's bundle, which is built once per worker. */
export const bundled = (script: URL): Promise<string> => {
  const known = bundles.get(script.href)
  if (known !== undefined) return known
  const bundle = bundleOf(fileURLToPath(script))
  bundles.set(script.href, bundle)
  return bundle
}

const bundleOf = async (script: string): Promise<string> => {
  mkdirSync(folder, { recursive: true })
  const outfile = join(folder, `${basename(script, ".ts")}.mjs`)
  // Another worker may bundle the same script, while a child of this one loads it.
  const own = `${outfile}.${process.pid}`
  await build({
    entryPoints: [script],
    outfile: own,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node22",
    logLevel: "warning",
    external: ["@duckdb/node-api", "vitest", "@effect/vitest"],
    // Some modules are programs too.
    define: { "import.meta.main": "false" },
    // Packages in the older format of modules use it.
    banner: {
      js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`
    },
    plugins: [ownAddresses]
  })
  renameSync(own, outfile)
  return outfile
}

/** Modules find files beside themselves, not beside the bundle. */
const ownAddresses = {
  name: "ownAddresses",
  setup: ({ onLoad }: PluginBuild) =>
    onLoad({ filter: /\/(src|test)\/.*\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll(
        "import.meta.url",
        JSON.stringify(pathToFileURL(path).href)
      ),
      loader: "ts"
    }))
}
