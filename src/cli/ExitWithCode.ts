import { Schema } from "effect"

/** A command has told what went wrong; what remains is to exit with another code than 0. */
export class ExitWithCode extends Schema.TaggedError<ExitWithCode>()("ExitWithCode", {
  /** 1 unless told; 2 where it was the command line. */
  exitCode: Schema.optionalKey(Schema.Int)
}) {}
