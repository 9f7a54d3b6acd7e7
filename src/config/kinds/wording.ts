/** Words and values in messages. */
import { truncateText } from "../../text/excerpt.ts"

/** Alternatives in a sentence. */
export const orList = (words: ReadonlyArray<string>): string => words.join(" or ")

/** A value as JSON, truncated if it is long. */
export const quote = (value: unknown): string => truncateText(JSON.stringify(value), 200)
