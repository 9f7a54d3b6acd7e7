/** What AWS says about a request that it refuses: whether the time of the signature or the access key is wrong. */
import { beginning } from "../../../text/excerpt.ts"
import { isAboutClock } from "../../refusalRules.ts"
import { parseHttpDate } from "../httpDate.ts"
import { parseAmzDate } from "./awsSignature.ts"
import type { CredentialRefusal } from "./Method.ts"

/** The words of a refusal: the kind of error, which has its own header, and its text. */
const wordsOf = ({ headers, text }: CredentialRefusal): string =>
  `${beginning(headers["x-amzn-errortype"] ?? "", 200)} ${beginning(text)}`

/** How much the time of a signature may differ from AWS' own. Some of its services accept more. */
const LARGEST_DIFFERENCE_MILLIS = 300_000

/** Causes that have nothing to do with the time. */
const otherCause =
  /not authorized to perform|AccessDenied|explicit deny|security token|UnrecognizedClient|ExpiredToken|InvalidClientTokenId|Missing ?Authentication/i

/** The server's time if it refuses a request because of the time of its signature. */
export const serverTimeOf = (refusal: CredentialRefusal): number | undefined => {
  const { headers, request } = refusal
  const words = wordsOf(refusal)
  const dateMillis = parseHttpDate(headers.date)
  // A proxy may have written the header, and its clock may be another one.
  if (isAboutClock(words)) return timeInText(words) ?? dateMillis
  // The header of a cached response is older.
  if (refusal.status === 400 || otherCause.test(words) || "age" in headers) return undefined
  const signedMillis = parseAmzDate(request.headers["x-amz-date"] ?? "")
  return signedMillis !== undefined &&
    dateMillis !== undefined &&
    Math.abs(dateMillis - signedMillis) > LARGEST_DIFFERENCE_MILLIS
    ? dateMillis
    : undefined
}

/**
 * The server's time in texts such as `Signature expired: 20150830T123600Z is now earlier than 20150830T124100Z
 * (20150830T124600Z - 5 min.)`, or in S3's `<ServerTime>`.
 */
const timeInText = (text: string): number | undefined => {
  const limit = /\((\d{8}T\d{6}Z) [+-] \d/.exec(text)?.[1]
  if (limit !== undefined) return parseAmzDate(limit)
  const time = /ServerTime\W{1,10}(\d{4}-\d\d-\d\dT[\d:.]{5,20}Z)/.exec(text)?.[1]
  const millis = Date.parse(time ?? "")
  return Number.isNaN(millis) ? undefined : millis
}

/** The access key is valid, and its owner may not do this. */
const deniedWords = /not authorized to perform|AccessDenied|explicit deny/i

const keyWords =
  /security token|access key|UnrecognizedClient|InvalidClientTokenId|InvalidToken|TokenRefreshRequired|ExpiredToken|token (has|is) expired|InvalidSignature|SignatureDoesNotMatch|request signature/i

/** Whether another access key could be accepted. */
export const concernsKeys = (refusal: CredentialRefusal): boolean => {
  const words = wordsOf(refusal)
  // A status of 400 is usually about the query.
  return refusal.status === 400 ? keyWords.test(words) : !deniedWords.test(words) || keyWords.test(words)
}
