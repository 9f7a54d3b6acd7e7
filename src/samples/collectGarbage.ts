/** Calls V8's garbage collector when much garbage is certain: memory outside of V8's heap does not trigger it. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Without a command-line flag of Node there is no other way to call it. */
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
