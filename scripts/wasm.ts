// Compiles the hot loops: src/wasm/assembly/*.ts, which is AssemblyScript, into src/wasm/*.wasm.ts, which holds the result.
// That is kept with the sources, so that nothing needs this before it runs; a test compares the two.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import asc from "assemblyscript/asc"

const ASSEMBLY = "src/wasm/assembly"

/** What src/wasm/<name>.wasm.ts must be. */
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

/** The programs there are. */
export const names = readdirSync(ASSEMBLY)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3))

/** Compiles what has changed. */
export const compileAll = async (): Promise<void> => {
  for (const name of names) {
    const path = `src/wasm/${name}.wasm.ts`
    const compiled = await compile(name)
    // Unchanged, it stays as old as it is: what depends on it need not be built again.
    if (!existsSync(path) || readFileSync(path, "utf8") !== compiled) writeFileSync(path, compiled)
  }
}
