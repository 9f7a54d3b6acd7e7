/** The report's page in the build. */
import { readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import { reportHtml } from "../../src/report/html/reportHtml.ts"
import { curveOf, runOf, streamOf } from "../report/summaries.ts"
import { dist, modulesAtStart } from "../support/programFiles.ts"

const built = new URL("../../dist/report.mjs", import.meta.url)

it("dist/report.mjs creates the same page as its sources, without other files", async () => {
  const run = runOf([streamOf("up", { curves: [curveOf([1, 2, 3])] })])
  const module = (await import(built.href)) as { readonly reportHtml: typeof reportHtml }
  assert.strictEqual(module.reportHtml(run), reportHtml(run))
  const imports = [...readFileSync(built, "utf8").matchAll(/(?:^|;)import\b[^"']*["']([^"']+)["']/gm)]
  assert.isNotEmpty(imports)
  for (const [, name] of imports) assert.match(name!, /^node:/)
})

it("the modules that are loaded at the start contain none of it", () => {
  const modules = modulesAtStart()
  assert.lengthOf(modules, 2)
  for (const name of modules) assert.notInclude(readFileSync(`${dist}/${name}`, "utf8"), "u-legend")
})
