// Compiles the hot loops: src/wasm/assembly/*.ts (AssemblyScript) into src/wasm/*.wasm.ts. The results are committed, so that
// the sources run without this step; a test compares the two.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import asc from "assemblyscript/asc"

const ASSEMBLY = "src/wasm/assembly"

/** The contents of src/wasm/<name>.wasm.ts. */
export const compile = async (name: string): Promise<string> => {
  const outputs = new Map<string, Uint8Array>()
  const { error, stderr } = await asc.main(
    [
      `${ASSEMBLY}/${name}.ts`,
      "-O3",
      "--noAssert",
      "--importMemory",
      "--zeroFilledMemory",
      ...["--initialMemory", "3"],
      ...["--runtime", "stub", "--enable", "simd", "--outFile", `${name}.wasm`]
    ],
    { writeFile: (file, contents) => void outputs.set(file, contents as Uint8Array) }
  )
  if (error) throw new Error(`${name} cannot be compiled: ${error.message}\n${stderr}`)
  const base64 = Buffer.from(outputs.get(`${name}.wasm`)!).toString("base64")
  return `// Made by scripts/wasm.ts of assembly/${name}.ts: change that, and run \`npm run build\`.
// biome-ignore format: a single text
export const ${name} = "${base64}"
`
}

/** The names of all programs. */
export const names = readdirSync(ASSEMBLY)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3))

/** Compiles all programs, and writes the changed ones. */
export const compileAll = async (): Promise<void> => {
  for (const name of names) {
    const path = `src/wasm/${name}.wasm.ts`
    const compiled = await compile(name)
    // An unchanged file keeps its modification time, so that no build is triggered.
    if (!existsSync(path) || readFileSync(path, "utf8") !== compiled) writeFileSync(path, compiled)
  }
}
