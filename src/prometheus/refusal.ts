/** Interprets a response that is not a success. */
import { beginning, endSentence, excerptLine } from "../text/excerpt.ts"
import { isLoginAddress, needsLogin } from "./loginPage.ts"
import { PrometheusError, type Reason } from "./PrometheusError.ts"
import { type Rule, rules } from "./refusalRules.ts"
import { type ServerText, serverText, withoutQuotes } from "./serverText.ts"

/** A response that is not a success. */
export interface Refusal {
  readonly status: number
  /** The start of the body, as text. */
  readonly body: string
  readonly contentType: string
  /** The name of the error, which AWS sends in a header. */
  readonly errorType?: string | undefined
  /** The address that responded, after redirects, if it is another one. */
  readonly finalAddress?: string | undefined
  readonly retryAfterMillis?: number | undefined
}

/** Turns a refusal into an error. `endpoint` is the address of the request, without its query. */
export const fromRefusal = (endpoint: string, refusal: Refusal): PrometheusError => {
  const said = serverText(refusal.body, refusal.contentType)
  const errorType = /^\w{1,100}/.exec(refusal.errorType ?? "")?.[0] ?? ""
  const texts = said.text.includes(errorType) ? [said.text] : [errorType, said.text]
  const text = excerptLine(texts.filter((text) => text !== "").join(": "))
  const summary = endSentence(`${endpoint} returned HTTP ${refusal.status}${text === "" ? "" : `: ${text}`}`)
  const { reason, advice = adviceFor(reason, refusal) } = ruleFor(refusal.status, said, errorType)
  return new PrometheusError({
    reason,
    summary,
    ...(advice === undefined ? {} : { advice }),
    ...(refusal.retryAfterMillis === undefined ? {} : { retryAfterMillis: refusal.retryAfterMillis })
  })
}

/** A page at a login's address is a login page, whatever it says. */
const adviceFor = (reason: Reason, { contentType, finalAddress = "" }: Refusal): string | undefined => {
  const isPage = reason === "NotPrometheus" && /html/i.test(contentType)
  const address = isPage ? URL.parse(finalAddress) : null
  return address !== null && isLoginAddress(address) ? needsLogin : undefined
}

const ruleFor = (status: number, { hasError, page, text }: ServerText, errorType: string): Rule => {
  const words = `${beginning(withoutQuotes(text))} ${errorType}`
  return rules.find(
    (rule) =>
      (rule.statuses?.includes(status) ?? true) &&
      (rule.words?.some((pattern) => pattern.test(words)) ?? true) &&
      (rule.beginning?.test(text) ?? true) &&
      (rule.page?.test(page) ?? true) &&
      (rule.hasError ?? hasError) === hasError
  )!
}
