/** Blocks the event loop of the built program, which has nothing in it for that: a module that Node preloads does. */
import { existsSync, writeFileSync } from "node:fs"
import { Effect } from "effect"
import type { Workspace } from "./connector.ts"

/** What keeps it busy. */
export type Block = "a loop" | "a regular expression" | "a lock" | "a call of the system"

const blocks: Readonly<Record<Block, string>> = {
  "a loop": "for (;;);",
  "a regular expression": 'void /^(a+)+$/.test("a".repeat(60) + "b")',
  "a lock": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
  // A named pipe that nobody writes to.
  "a call of the system": `
    execFileSync("mkfifo", [pipe])
    openSync(pipe, "r")`
}

/** How to start a program whose loop can be blocked, and the way to do so. */
export const blockable = (files: Workspace, block: Block) => {
  const order = files.path("block")
  const report = files.path("blocked")
  const path = files.write(
    "block.mjs",
    `import { execFileSync } from "node:child_process"
     import { existsSync, openSync, writeFileSync } from "node:fs"
     import { isMainThread } from "node:worker_threads"
     const pipe = ${JSON.stringify(files.path("pipe"))}
     const look = () => {
       if (!existsSync(${JSON.stringify(order)})) return
       writeFileSync(${JSON.stringify(report)}, "")
       ${blocks[block]}
     }
     if (isMainThread) setInterval(look, 20).unref()`
  )
  return {
    nodeOptions: ["--import", path],
    /** Lets the program start and wait for its server, blocks it, and returns when it is blocked. Never, if it has ended. */
    block: Effect.gen(function* () {
      yield* Effect.sleep("4 seconds")
      writeFileSync(order, "")
      while (!existsSync(report)) yield* Effect.sleep("20 millis")
      yield* Effect.sleep("100 millis")
    })
  }
}
