import { describe, it } from "@effect/vitest"
import { choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { sharedRuns } from "./sharedRuns.ts"

describe("a folder of Parquet files that several processes write", () => {
  it.live.prop(
    "has the rows and the state of all committed parts, if some are killed or paused at any moment",
    [choices],
    ([choices]) => sharedRuns(choices),
    { arbitrary: { runs: runs(4, 15) }, timeout: 240_000 }
  )
})
