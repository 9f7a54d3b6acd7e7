/**
 * What a response says about its completeness: warnings, members such as `isPartial`, headers such as `M3-Results-Limited`, the
 * status. Whatever says that data are missing counts, since a gap in a response looks like a gap in the metrics.
 */
import { Predicate, Result } from "effect"
import type { Headers } from "effect/http"
import { beginning, endSentence, excerptLine } from "../text/excerpt.ts"
import { PrometheusError } from "./PrometheusError.ts"

/** What a response says about its completeness. */
export interface Completeness {
  readonly warnings: ReadonlyArray<string>
  /** The members and headers that say that data are missing, as the ends of sentences: `isPartial is true`. */
  readonly signs: ReadonlyArray<string>
  /** The response has no data at all. */
  readonly isEmpty: boolean
}

/** Whether a warning is about the query rather than about the data that it reads. */
export const isAboutQuery = (warning: string): boolean => warning.startsWith("PromQL ")

/** Thanos warns so if it has no store with data of that range: then there is nothing that could be missing. */
const saysNothingMatched = (warning: string): boolean => /^no store ?apis? matched\b/i.test(warning.trim())

/** How many warnings of each kind are kept, each shortened. */
const MAX_WARNINGS = 20

/** The first warnings of each kind: many about the query must not hide one about missing data. */
export const firstWarnings = (value: unknown): ReadonlyArray<string> => {
  const given = typeof value === "string" ? [value] : Array.isArray(value) ? value : []
  const warnings = given.filter((item) => typeof item === "string" && item !== "")
  let aboutQuery = 0
  let aboutData = 0
  return warnings
    .filter((warning) => (isAboutQuery(warning) ? ++aboutQuery : ++aboutData) <= MAX_WARNINGS)
    .map((warning) => beginning(warning))
}

/** The words of a name such as `isPartial`, `M3-Results-Limited` or `results_truncated`. */
const wordsOf = (name: string): ReadonlyArray<string> =>
  beginning(name, 100)
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)

const missingWords: ReadonlySet<string> = new Set(["partial", "limited", "truncated", "incomplete"])

/** Whether a member or a header has a name that says that data are missing. A rate limit is about requests. */
export const isMissingName = (name: string): boolean => {
  const words = wordsOf(name)
  return words.some((word, i) => missingWords.has(word) && words[i - 1] !== "rate")
}

const negatives: ReadonlySet<string> = new Set(["", "false", "0", "no", "none", "null", "off", "{}", "[]"])

/** Whether the value of such a member or header says that it is so. M3 sends an object that has a member `Limited`. */
export const isAffirmative = (value: unknown): boolean => {
  if (typeof value === "string") {
    const text = value.trim()
    return text.startsWith("{") && text.length < 4096
      ? isAffirmative(
          Result.getOrElse(
            Result.try((): unknown => JSON.parse(text)),
            () => true
          )
        )
      : !negatives.has(text.toLowerCase())
  }
  if (Array.isArray(value)) return value.length > 0
  if (!Predicate.isObject(value)) return Boolean(value)
  const members = Object.entries(value)
  const own = members.filter(([name]) => isMissingName(name))
  return own.length > 0 ? own.some(([, member]) => isAffirmative(member)) : members.length > 0
}

const shown = (value: unknown): string =>
  excerptLine(typeof value === "string" ? value : JSON.stringify(value))

/** What a member of a response says about missing data, if anything. */
export const memberSign = (name: string, value: unknown): ReadonlyArray<string> =>
  isMissingName(name) && isAffirmative(value) ? [`${beginning(name, 100)} is ${shown(value)}`] : []

/** What the status and the headers say about missing data. */
export const responseSigns = (status: number, headers: Headers.Headers): ReadonlyArray<string> => [
  ...(status === 206 ? ["its status is 206 (partial content)"] : []),
  ...Object.entries(headers).flatMap(([name, value]) =>
    memberSign(name, value).map((sign) => `its header ${sign}`)
  )
]

/** What completeness is judged with. */
export interface CompletenessContext {
  /** The address of the request, without parameters. */
  readonly address: string
  readonly mask: (text: string) => string
  readonly partialData: "accept" | "fail"
}

/** Returns the warnings to log, or an error if data are missing and that is not accepted. */
export const judgeCompleteness = (
  { isEmpty, signs, warnings }: Completeness,
  { address, mask, partialData }: CompletenessContext
): Result.Result<ReadonlyArray<string>, PrometheusError> => {
  const reported =
    isEmpty && signs.length === 0 ? warnings.filter((warning) => !saysNothingMatched(warning)) : warnings
  const missing = reported.filter((warning) => !isAboutQuery(warning))
  if (partialData === "fail" && (signs.length > 0 || missing.length > 0)) {
    const words = [
      ...(missing.length === 0 ? [] : [` It warns: ${excerptLine(mask(missing.join("; ")))}`]),
      // Everyone who has it knows it.
      ...signs.filter((sign) => sign !== KNOWN_SIGN).map((sign) => ` It says so itself: ${mask(sign)}`)
    ]
    return Result.fail(
      new PrometheusError({
        reason: "PartialResponse",
        summary: endSentence(`The response from ${address} may lack data.${words.map(endSentence).join("")}`)
      })
    )
  }
  return Result.succeed([
    ...reported.map((warning) => excerptLine(mask(warning))),
    ...signs.map((sign) =>
      sign === KNOWN_SIGN
        ? "the response lacks data because some of the server's sources did not respond"
        : `the response lacks data: ${mask(sign)}`
    )
  ])
}

/** VictoriaMetrics' cluster. */
const KNOWN_SIGN = "isPartial is true"
