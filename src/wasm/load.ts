/** Loads the programs of the hot loops, which are WebAssembly: see `assembly/`. */

/** What is used of Node's WebAssembly, whose types come with browsers' only. */
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
  /** Another one once it has grown, which detaches the one before. */
  readonly buffer: ArrayBuffer
  readonly grow: (pages: number) => number
}

/** In what memory grows. */
export const PAGE_BYTES = 65_536

/** What the programs' own variables need at least, in pages. */
const OWN_PAGES = 3

/** A constant that a program exports, such as the address of something in its memory. */
export interface Constant {
  readonly value: number
}

export const newMemory = (): Memory => new WebAssembly.Memory({ initial: OWN_PAGES })

const modules = new Map<string, object>()

/**
 * Loads a program from its base64, to work on a memory of its own, which must be new: it relies on the zeros there. What it
 * exports, the caller must know. Takes half a millisecond the first time, so it is done when it is needed.
 */
export const load = <Exports>(base64: string, memory: Memory): Exports => {
  let module = modules.get(base64)
  if (module === undefined) {
    module = new WebAssembly.Module(Buffer.from(base64, "base64"))
    modules.set(base64, module)
  }
  return new WebAssembly.Instance(module, { env: { memory } }).exports as Exports
}
