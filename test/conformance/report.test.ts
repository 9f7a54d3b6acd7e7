/** The report's page in the build. */
import { readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import { reportHtml } from "../../src/report/html/reportHtml.ts"
import { curveOf, runOf, streamOf } from "../report/summaries.ts"

const built = new URL("../../dist/report.mjs", import.meta.url)

it("dist/report.mjs creates the same page as its sources, without other files", async () => {
  const run = runOf([streamOf("up", { curves: [curveOf([1, 2, 3])] })])
  const module = (await import(built.href)) as { readonly reportHtml: typeof reportHtml }
  assert.strictEqual(module.reportHtml(run), reportHtml(run))
  const imports = [...readFileSync(built, "utf8").matchAll(/(?:^|;)import\b[^"']*["']([^"']+)["']/gm)]
  assert.isNotEmpty(imports)
  for (const [, name] of imports) assert.match(name!, /^node:/)
})

it("dist/main.mjs contains none of it", () => {
  assert.notInclude(readFileSync(new URL("../../dist/main.mjs", import.meta.url), "utf8"), "u-legend")
})
