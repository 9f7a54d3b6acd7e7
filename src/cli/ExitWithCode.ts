import { Schema } from "effect"

/** A command has reported its error, and the process exits with a code other than 0. */
export class ExitWithCode extends Schema.TaggedError<ExitWithCode>()("ExitWithCode", {
  /** 1 by default; 2 for wrong usage. */
  exitCode: Schema.optionalKey(Schema.Int)
}) {}
