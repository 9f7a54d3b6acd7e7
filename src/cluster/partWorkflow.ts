/** A part as a durable workflow of Effect's cluster. */
import { Schema } from "effect"
import { Workflow } from "effect/workflow"
import { PartDone, PartFailed, PartJob } from "./PartQueue.ts"

/**
 * The same sync, stream and range are the same execution: who submits it again waits for the one that is stored. It has no
 * activities, because the destination itself knows which parts are done.
 */
export const PartWorkflow = Workflow.make("Part", {
  payload: { syncId: Schema.String, ...PartJob.fields },
  success: PartDone,
  error: PartFailed,
  idempotencyKey: ({ range, stream, syncId }) =>
    JSON.stringify([syncId, stream, range.firstMillis, range.lastMillis, range.stepMillis])
})
