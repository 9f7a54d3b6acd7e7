/** What a response to a request for a token means. Servers deviate from RFC 6749 where it does no harm, and are understood. */
import { Predicate, Result } from "effect"

/** A token, and how long it is valid. */
export interface Grant {
  readonly token: string
  /** Infinite if the server does not say so. */
  readonly lifeMillis: number
}

/** Why there is no token. */
export interface Denial {
  /** The code of the error, such as `invalid_client`. */
  readonly code?: string
  /** The code and the sentence of the server. */
  readonly text?: string
  /** What is wrong with a response that should have had a token: the end of a sentence about it. */
  readonly problem?: string
}

/** Interprets a response. */
export const tokenResponse = (status: number, body: string): Result.Result<Grant, Denial> => {
  const parsed = parse(body)
  const json = parsed ?? {}
  // Some servers report errors with status 200.
  if (typeof json.error === "string" && json.error !== "")
    return Result.fail(denial(json.error, json.error_description))
  if (status < 200 || status > 299 || !body.trimStart().startsWith("{")) return Result.fail({})
  if (parsed === undefined) return Result.fail({ problem: "is not JSON" })
  const { access_token: token, expires_in, token_type: type } = json
  if (typeof token !== "string" || token === "") return Result.fail({ problem: "has no access_token" })
  if (!/^[\x21-\x7e]+$/.test(token)) {
    return Result.fail({
      problem: "has an access_token with characters that are not allowed in an HTTP header (it is not shown)"
    })
  }
  // Some servers leave the type out.
  if (Predicate.isNotNullish(type) && !/^bearer$/i.test(String(type).trim())) {
    return Result.fail({ problem: `has a token of type ${String(type)}, but only bearer tokens can be sent` })
  }
  return Result.succeed({ token, lifeMillis: lifeOf(expires_in) })
}

const denial = (code: string, description: unknown): Denial =>
  typeof description === "string" && description.trim() !== ""
    ? { code, text: `${code}: ${description}` }
    : { code }

/** Some servers send the seconds as text. A token that has expired from the beginning has no known end. */
const lifeOf = (expiresIn: unknown): number => {
  const seconds = typeof expiresIn === "string" ? Number.parseFloat(expiresIn) : expiresIn
  return typeof seconds === "number" && seconds > 0 ? seconds * 1000 : Number.POSITIVE_INFINITY
}

/** The object in a body. */
const parse = (body: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const json: unknown = JSON.parse(body)
    return Predicate.isReadonlyObject(json) ? json : undefined
  } catch {
    return undefined
  }
}
