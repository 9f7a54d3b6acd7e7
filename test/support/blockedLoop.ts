/** Blocks the event loop of the built program, with a module that Node preloads. */
import { existsSync } from "node:fs"
import { Effect } from "effect"
import type { Workspace } from "./connector.ts"

/** What blocks the event loop. */
export type Block = "a loop" | "a regular expression" | "a lock" | "a system call"

const blocks: Readonly<Record<Block, string>> = {
  "a loop": "for (;;);",
  "a regular expression": 'void /^(a+)+$/.test("a".repeat(60) + "b")',
  "a lock": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
  // A named pipe that no one writes to.
  "a system call": `
    execFileSync("mkfifo", [pipe])
    openSync(pipe, "r")`
}

/** Prepares a program's start so that its event loop gets blocked. */
export const blockable = (files: Workspace, block: Block) => {
  const report = files.path("blocked")
  const path = files.write(
    "block.mjs",
    `import { execFileSync } from "node:child_process"
     import { openSync, writeFileSync } from "node:fs"
     const pipe = ${JSON.stringify(files.path("pipe"))}
     // A second after the guard has begun it is there, on a busy machine, too.
     process.on("worker", (guard) => guard.once("online", () => setTimeout(() => {
       writeFileSync(${JSON.stringify(report)}, "")
       ${blocks[block]}
     }, 1000)))`
  )
  return {
    nodeOptions: ["--import", path],
    /** Waits until the loop is blocked, which happens once the program's guard runs. */
    blocked: Effect.gen(function* () {
      while (!existsSync(report)) yield* Effect.sleep("20 millis")
      yield* Effect.sleep("100 millis")
    })
  }
}
