/** V8's own garbage collector, called where much garbage is certain: memory outside of its heap does not trigger it. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Without a flag on the command line of Node there is no other way to call it. */
const exposeCollector = () => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as (options: { readonly type: "major" }) => void
  setFlagsFromString("--no-expose-gc")
  return () => collect({ type: "major" })
}

let collector: (() => void) | undefined

/** Collects all garbage now. */
export const collectGarbage = (): void => {
  collector ??= exposeCollector()
  collector()
}
