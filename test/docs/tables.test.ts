/** The page about tables has their columns. */
import { readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import { withTableReference } from "../../scripts/tableReference.ts"

it("docs/tables.md has the columns of all tables: node scripts/tableReference.ts", () => {
  const page = readFileSync(new URL("../../docs/tables.md", import.meta.url), "utf8")
  assert.strictEqual(page, withTableReference(page))
})
