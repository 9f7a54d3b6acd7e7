/** A part as a durable workflow of Effect's cluster. */
import { Schema } from "effect"
import { Workflow } from "effect/workflow"
import { SyncPart } from "../sync/parts.ts"
import { PartDone, PartFailed } from "./PartQueue.ts"

/**
 * The same sync, stream and range are the same execution: who submits it again waits for the one that is stored. Another attempt
 * is another execution, which another worker is likely to get. There are no activities, because the destination itself knows
 * which parts are done.
 */
export const PartWorkflow = Workflow.make("Part", {
  payload: { syncId: Schema.String, attempt: Schema.Int, ...SyncPart.fields },
  success: PartDone,
  error: PartFailed,
  idempotencyKey: ({ attempt, range, stream, syncId }) =>
    JSON.stringify([syncId, stream, range.firstMillis, range.lastMillis, range.stepMillis, attempt])
})
