// Prepares a fresh clone: installs what package-lock.json names, and with --build bundles the executable.
// Skips steps that are done. Needs only Node and npm.
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"

const modifiedAt = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0)

const newestIn = (folder) =>
  Math.max(...readdirSync(folder, { recursive: true }).map((path) => modifiedAt(join(folder, path))))

/** Runs a step, quietly if all goes well. */
const run = (what, command, args) => {
  console.error(what)
  try {
    execFileSync(command, args, { stdio: ["ignore", "pipe", "pipe"], shell: process.platform === "win32" })
  } catch (error) {
    console.error(
      `${error.stdout ?? ""}${error.stderr ?? ""}\nThis step failed: ${command} ${args.join(" ")}`
    )
    process.exit(1)
  }
}

// npm writes this file last, so an interrupted installation is repeated.
if (modifiedAt("node_modules/.package-lock.json") < modifiedAt("package-lock.json")) {
  run("Installing dependencies (once) ...", "npm", ["ci", "--no-audit", "--no-fund"])
}

if (process.argv.includes("--build")) {
  const sources = Math.max(newestIn("src"), newestIn("scripts"), modifiedAt("package.json"))
  if (modifiedAt("dist/source-prometheus.js") < sources) {
    run("Building ...", "node_modules/.bin/node", ["scripts/build.mjs"])
  }
}
