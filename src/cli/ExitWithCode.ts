import { Schema } from "effect"

/** The command has already reported its error. The process exits with this code instead of 0. */
export class ExitWithCode extends Schema.TaggedError<ExitWithCode>()("ExitWithCode", {
  /** 1 by default; 2 for wrong usage. */
  exitCode: Schema.optionalKey(Schema.Int)
}) {}
