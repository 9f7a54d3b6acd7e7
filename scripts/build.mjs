// Bundles the program: `dist/source-prometheus.js` starts `dist/main.mjs`, which is all the rest. The two need nothing else.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { build } from "esbuild"
import { compileAll } from "./wasm.ts"

const { bin, engines, name } = JSON.parse(readFileSync("package.json", "utf8"))
const executable = bin[name]
const folder = dirname(executable)
const needed = engines.node.replace(/^>=/, "")

// Two files, since Node keeps compiled code only of what is loaded after it was asked to: a start takes a fifth less with
// it. Plain old JavaScript up to the import: it is for a Node that knows no other.
const launcher = `#!/usr/bin/env node
import module from "node:module"
var needed = ${JSON.stringify(needed)}.split("."), current = process.versions.node.split(".")
var older = +current[0] !== +needed[0] ? +current[0] < +needed[0] : +current[1] < +needed[1]
if (older) {
  process.stderr.write("${name} needs Node ${needed} or newer; this is Node " + process.versions.node + ".\\n")
  process.exit(1)
}
module.enableCompileCache()
import("./main.mjs")
`

// What Effect loads only for features that are not used here: bundled, it would have half of all modules wrapped in
// functions, and all that they export kept.
const unused = {
  name: "unused",
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/(Undici|internal\/upgrade)\.js$/ }, ({ kind, path }) =>
      kind === "dynamic-import" ? { path, external: true } : undefined
    )
}

await compileAll()
await build({
  entryPoints: ["src/bin.ts"],
  outfile: `${folder}/main.mjs`,
  bundle: true,
  minify: true,
  platform: "node",
  format: "esm",
  target: "node22",
  legalComments: "inline",
  plugins: [unused],
  logLevel: "warning"
})
mkdirSync(folder, { recursive: true })
writeFileSync(executable, launcher)
chmodSync(executable, 0o755)
