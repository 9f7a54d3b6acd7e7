/** The program as the first process of a container, to which unhandled signals do nothing. */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Block, blockable } from "../support/blockedLoop.ts"
import * as connector from "../support/connector.ts"
import { gauge } from "../support/gauge.ts"
import { serve } from "../support/mockServer.ts"
import { isRoot, program } from "./machine.ts"

/** Docker kills a container ten seconds after the signal: the program must end well before that. */
const SOON = 8000

describe.runIf(isRoot)("the first process of a container", { concurrent: true }, () => {
  const cases: ReadonlyArray<readonly [Block | undefined, NodeJS.Signals, code: number]> = [
    [undefined, "SIGTERM", 143],
    ["a loop", "SIGTERM", 143],
    ["a loop", "SIGINT", 130],
    ["a regular expression", "SIGTERM", 143],
    ["a lock", "SIGINT", 130]
  ]
  for (const [block, signal, code] of cases) {
    it.live(
      `exits with ${code} after ${signal}, ${block === undefined ? "waiting" : `blocked by ${block}`}`,
      () =>
        Effect.gen(function* () {
          const { config } = yield* serve(gauge("m", 5), 5, {
            faults: () => ({ delayMillis: Number.POSITIVE_INFINITY })
          })
          const files = yield* connector.workspace
          const blocking = blockable(files, block ?? "a loop")
          const [node, ...args] = program(...connector.readArgs(files, config, connector.catalogOf("m")))
          const container = yield* Effect.acquireRelease(
            Effect.sync(() =>
              spawn(
                "unshare",
                [
                  "--pid",
                  "--fork",
                  "--kill-child",
                  "--mount-proc",
                  "--",
                  node!,
                  ...blocking.nodeOptions,
                  ...args
                ],
                { stdio: ["ignore", "pipe", "pipe"] }
              )
            ),
            (container) => Effect.sync(() => container.kill("SIGKILL"))
          )
          let stdout = ""
          let stderr = ""
          container.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
          container.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
          const ended = new Promise<readonly [code: number | null, signal: NodeJS.Signals | null]>(
            (resolve) => container.once("close", (code, signal) => resolve([code, signal]))
          )
          yield* block === undefined ? Effect.sleep("4 seconds") : blocking.blocked
          const pid = Number(readFileSync(`/proc/${container.pid}/task/${container.pid}/children`, "utf8"))
          const before = performance.now()
          process.kill(pid, signal)
          assert.deepStrictEqual(yield* Effect.promise(() => ended), [code, null])
          assert.isBelow(performance.now() - before, SOON)
          assert.strictEqual(stderr, "")
          assert.isTrue(stdout === "" || stdout.endsWith("\n"), "complete lines")
        })
    )
  }
})
