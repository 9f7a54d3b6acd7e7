/** The executable. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import { teardown } from "./cli/exit.ts"
import { main } from "./cli/main.ts"
import { keepMemoryLow } from "./cli/memory.ts"
import * as platform from "./cli/platform.ts"
import { handleSignals } from "./cli/signals.ts"
import { quietStderr } from "./cli/stderr.ts"

const args = process.argv.slice(2)

keepMemoryLow()
quietStderr(args)
handleSignals(args)

NodeRuntime.runMain(Effect.suspend(() => main(args)).pipe(Effect.provide(platform.layer)), {
  disableErrorReporting: true,
  teardown
})
