/** The files of the program in the build. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** The folder of the program. */
export const dist = fileURLToPath(new URL("../../dist", import.meta.url))

/** The names of the modules that the program loads at its start: `main.mjs`, and what that one imports. */
export const modulesAtStart = (): ReadonlyArray<string> => {
  const main = "main.mjs"
  const imports = readFileSync(`${dist}/${main}`, "utf8").matchAll(
    /(?:^|[;}])\s*import\b[^"'()]*["']\.\/([^"']+)["']/gm
  )
  return [main, ...Array.from(imports, ([, name = ""]) => name)]
}
