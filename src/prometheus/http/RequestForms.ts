/**
 * How requests to a server are sent: as an address or as a form, and with which of the parameters that only some servers take.
 * What the server refuses is left out from then on.
 */
import { UrlParams } from "effect/http"
import type { ApiRequest } from "./ApiRequest.ts"

/** A request as it is sent. */
export interface Form {
  readonly method: ApiRequest["method"]
  /** The names of its optional parameters. */
  readonly optional: ReadonlyArray<string>
  /**
   * What this form tries after a refusal of the form before it.
   *
   * - `params`: without the parameters that the refusal names
   * - `noParams`: without any optional parameter, since the refusal may be about one
   * - `address`: as an address, since forms may be refused
   * - `form`: as a form, since the address is too long
   */
  readonly attempt?: "params" | "noParams" | "address" | "form"
}

/** A response that is not a success. */
export interface FormRefusal {
  readonly status: number
  /** The start of its body. */
  readonly text: string
}

/** Servers that take addresses only refuse a form so, or do not find the query in it. */
const refusesForm = ({ status, text }: FormRefusal): boolean =>
  [403, 404, 405, 415, 501].includes(status) ||
  (status === 400 &&
    /no expression found|(missing|required|empty).{0,40}\bquery\b|\bquery\b.{0,40}(missing|required|empty)/i.test(
      text
    ))

/** The address is too long, or the headers with it. nginx writes that on a page. */
export const refusesLength = ({ status, text }: FormRefusal): boolean =>
  status === 414 ||
  status === 431 ||
  ((status === 400 || status === 494) && /request (header|line|ur[il]).{0,40}too (large|long)/i.test(text))

/** These say nothing about the parameters. */
const neverAboutParams: ReadonlySet<number> = new Set([401, 404, 429])

/** The words of a refusal that concerns a parameter. */
const aboutParams =
  /unknown|unexpected|unrecogni[sz]ed|unsupported|not (supported|allowed|known|permitted)|invalid|illegal|cannot bind/i

/** The optional parameters that a refusal names. */
export const refusedParams = (
  names: ReadonlyArray<string>,
  { status, text }: FormRefusal
): ReadonlyArray<string> => {
  if (status < 400 || status >= 500 || neverAboutParams.has(status) || !aboutParams.test(text)) return []
  const words = text.replace(/"errorType"\s*:\s*"\w*"/g, "")
  return names.filter((name) =>
    // The word alone is also part of other errors.
    name === "timeout"
      ? /["'`]timeout\\?["'`]|(parameters?|name|field|argument):? timeout\b/i.test(words)
      : new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(words)
  )
}

/** The errors of Prometheus itself, which knows its parameters and ignores all others. */
const isOwnError = ({ text }: FormRefusal): boolean => /"errorType"\s*:\s*"/.test(text)

/** What one server has accepted and refused. */
export class RequestForms {
  private readonly refusedNames = new Set<string>()
  /** The endpoints that have accepted optional parameters. */
  private readonly accepting = new Set<string>()
  private takesForms = true
  /** The longest parameters that may fit into an address. */
  private addressLength = Number.POSITIVE_INFINITY

  /** How a request is sent first. */
  first(request: ApiRequest): Form {
    if (request.binary !== undefined) return { method: "POST", optional: [] }
    const optional = Object.keys(request.optional ?? {}).filter((name) => !this.refusedNames.has(name))
    const isLong =
      request.method === "POST" ||
      (this.addressLength < Number.POSITIVE_INFINITY &&
        request.takesForm === true &&
        lengthOf(request, optional) > this.addressLength)
    return { method: isLong && this.takesForms ? "POST" : "GET", optional }
  }

  /** How a refused request is sent next; undefined if the refusal is about the request itself. */
  next(request: ApiRequest, form: Form, refusal: FormRefusal): Form | undefined {
    const { method, optional } = form
    if (request.binary !== undefined) return undefined
    const named = refusedParams(optional, refusal)
    if (named.length > 0) {
      for (const name of named) this.refusedNames.add(name)
      return { method, optional: optional.filter((name) => !named.includes(name)), attempt: "params" }
    }
    if (form.attempt !== undefined && form.attempt !== "params") {
      // The server took the address, and refuses what it asks for.
      if (form.attempt === "address" && saysMore(refusal)) this.takesForms = false
      return undefined
    }
    if (method === "POST" && refusesForm(refusal)) {
      return { method: "GET", optional, attempt: "address" }
    }
    if (method === "GET" && refusesLength(refusal) && request.takesForm === true) {
      return this.takesForms ? { method: "POST", optional, attempt: "form" } : undefined
    }
    const isUnclear =
      refusal.status === 400 &&
      optional.length > 0 &&
      !this.accepting.has(endpointOf(request)) &&
      (request.isGuess === true || !isOwnError(refusal))
    return isUnclear ? { method, optional: [], attempt: "noParams" } : undefined
  }

  /** A form succeeded: what the server refused before was the form. */
  succeeded(request: ApiRequest, { attempt, optional }: Form): void {
    if (optional.length > 0) this.accepting.add(endpointOf(request))
    if (attempt === "noParams")
      for (const name of Object.keys(request.optional ?? {})) this.refusedNames.add(name)
    if (attempt === "address") this.takesForms = false
    if (attempt === "form") this.addressLength = Math.min(this.addressLength, lengthOf(request, optional) - 1)
  }
}

/** Whether the refusal of an address is about more than the way it was sent. */
export const saysMore = (refusal: FormRefusal): boolean =>
  refusal.status < 500 &&
  refusal.status !== 401 &&
  refusal.status !== 429 &&
  !refusesForm(refusal) &&
  !refusesLength(refusal)

/** The parameters of a form. */
export const paramsOf = ({ optional = {}, params }: ApiRequest, names: ReadonlyArray<string>) =>
  UrlParams.fromInput({ ...params, ...Object.fromEntries(names.map((name) => [name, optional[name]!])) })

const lengthOf = (request: ApiRequest, optional: ReadonlyArray<string>): number =>
  UrlParams.toString(paramsOf(request, optional)).length

/** Lists of labels share what they accept. */
const endpointOf = ({ path }: ApiRequest): string => (path.startsWith("/api/v1/label") ? "labels" : path)
