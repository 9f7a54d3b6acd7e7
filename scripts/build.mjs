// Bundles the executable: one file that starts without node_modules.
import { chmodSync, readFileSync } from "node:fs"
import { build } from "esbuild"

const { bin, engines, name } = JSON.parse(readFileSync("package.json", "utf8"))
const needed = engines.node.replace(/^>=/, "")

// Runs before anything of the bundle does. Plain old JavaScript: it is for a Node that knows no other.
const guard = `
var needed = ${JSON.stringify(needed)}.split("."), current = process.versions.node.split(".")
var older = +current[0] !== +needed[0] ? +current[0] < +needed[0] : +current[1] < +needed[1]
if (older) {
  process.stderr.write("${name} needs Node ${needed} or newer; this is Node " + process.versions.node + ".\\n")
  process.exit(1)
}
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

await build({
  entryPoints: ["src/bin.ts"],
  outfile: bin[name],
  bundle: true,
  minify: true,
  platform: "node",
  format: "esm",
  target: "node22",
  legalComments: "inline",
  banner: { js: `#!/usr/bin/env node${guard}` },
  plugins: [unused],
  logLevel: "warning"
})
chmodSync(bin[name], 0o755)
