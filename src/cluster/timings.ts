/**
 * The times of a cluster. The parts of a worker that was killed are taken over once its locks have expired; a worker under load
 * has several chances to refresh them before.
 */
import { Duration } from "effect"

/** A process that has not been heard of for so long counts as dead. */
export const ALIVE_SECONDS = 30

/** A process says so often that it is alive. */
export const HEARTBEAT = Duration.seconds(5)

/** How often a worker looks for parts that it has lost. */
export const LOST_PARTS = Duration.seconds(5)

/** How long a run that starts waits for a database that cannot be reached. Workers wait for ever, as services do. */
export const PATIENCE = Duration.seconds(30)

/** How long a run that stops waits for its last statement. The whole stop may take two seconds, and that of a worker eight. */
export const LAST_STATEMENT = Duration.millis(500)

/** How long a worker that stops waits for its last statement. */
export const LAST_STATEMENT_OF_WORKER = Duration.seconds(3)
