/** The third-party licences that are shipped with the executable. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, it } from "@effect/vitest"
import lock from "../../package-lock.json" with { type: "json" }

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")

it("THIRD-PARTY-LICENSES contains the licences of the bundled packages", () => {
  const licences = read("dist/THIRD-PARTY-LICENSES")
  for (const name of [
    "effect",
    "@effect/platform-node",
    "@lezer/common",
    "@lezer/highlight",
    "@lezer/lr",
    "@prometheus-io/lezer-promql",
    "re2js",
    "uplot"
  ] as const) {
    const { license, version } = lock.packages[`node_modules/${name}`]
    assert.include(licences, `\n${name} ${version} (${license})\n`)
    assert.include(licences, read(`node_modules/${name}/LICENSE`).trim())
  }
  // These are for development, and are in no bundle.
  for (const name of ["esbuild", "vitest", "typescript"]) assert.notInclude(licences, `\n${name} `)
})
