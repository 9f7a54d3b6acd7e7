/** The services that Effect's commands require. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import { Effect, Layer, Terminal } from "effect"
import type { Command } from "effect/cli"
import { ChildProcessSpawner } from "effect/process"

const unused = Effect.die("This service is for prompts and child processes, which no command has.")

/**
 * A terminal that nothing uses. Node's would turn standard output into a Node stream. A pipe is then non-blocking, and a full
 * one rejects writes instead of waiting for its reader.
 */
const terminal = Terminal.make({
  columns: unused,
  rows: unused,
  size: unused,
  readInput: unused,
  readLine: unused,
  display: () => unused
})

export const layer: Layer.Layer<Command.Environment> = Layer.mergeAll(
  NodeFileSystem.layer,
  NodePath.layer,
  NodeStdio.layer,
  Layer.succeed(Terminal.Terminal, terminal),
  Layer.succeed(
    ChildProcessSpawner.ChildProcessSpawner,
    ChildProcessSpawner.make(() => unused)
  )
)
