import { Schema } from "effect"

/** A command has told what went wrong; what remains is to exit with another code than 0. */
export class Unsuccessful extends Schema.TaggedError<Unsuccessful>()("Unsuccessful", {
  /** 1 unless told; 2 where it was the command line. */
  exitCode: Schema.optionalKey(Schema.Int)
}) {}
