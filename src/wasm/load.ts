/** Loads the WebAssembly programs of the hot loops: see `assembly/`. */

/** The part of Node's WebAssembly in use. Its types only come with those of browsers. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => Memory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
    imports: { readonly env: { readonly memory: Memory } }
  ) => { readonly exports: object }
}

/** The memory of a program. */
export interface Memory {
  /** Growing detaches the previous buffer and replaces it. */
  readonly buffer: ArrayBuffer
  readonly grow: (pages: number) => number
}

/** The size of a page, the unit in which memory grows. */
export const PAGE_BYTES = 65_536

/** The minimum number of pages for the programs' own variables. */
const OWN_PAGES = 3

/** A constant exported by a program, such as the address of its data. */
export interface Constant {
  readonly value: number
}

export const newMemory = (): Memory => new WebAssembly.Memory({ initial: OWN_PAGES })

const modules = new Map<string, object>()

/**
 * Instantiates a program from base64 with a memory of its own, which must be new because the program relies on zeros there. The
 * caller must know the type of its exports. The first call takes half a millisecond, so programs are loaded lazily.
 */
export const load = <Exports>(base64: string, memory: Memory): Exports => {
  let module = modules.get(base64)
  if (module === undefined) {
    module = new WebAssembly.Module(Buffer.from(base64, "base64"))
    modules.set(base64, module)
  }
  return new WebAssembly.Instance(module, { env: { memory } }).exports as Exports
}
