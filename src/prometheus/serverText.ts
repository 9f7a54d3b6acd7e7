/** The text of a response that is not a success: what the server says, from JSON of many shapes, a web page or plain text. */
import { Predicate } from "effect"
import { beginning, excerptLine } from "../text/excerpt.ts"

/** What a server says. */
export interface ServerText {
  /** The text of its JSON, the title of its page, or the body. */
  readonly text: string
  /** Whether it is JSON with an `error`, as Prometheus' own errors are. */
  readonly hasError: boolean
  /** The source of a web page, or the text of anything else. */
  readonly page: string
}

/** Interprets the start of a body. */
export const serverText = (body: string, contentType: string): ServerText => {
  const json = parse(body)
  const jsonText = textIn(json)
  if (jsonText !== undefined) {
    const text = withoutOwnQuery(jsonText)
    return { text, hasError: Predicate.hasProperty(json, "error"), page: beginning(withoutQuotes(text)) }
  }
  if (/html/i.test(contentType) || body.trimStart().startsWith("<")) {
    const title = titleOf(body)
    return {
      text: title === "" ? "a web page" : `a web page titled "${title}"`,
      hasError: false,
      page: beginning(body, MAX_PAGE_CHARACTERS)
    }
  }
  const text = withoutOwnQuery(body)
  return { text, hasError: false, page: beginning(withoutQuotes(text)) }
}

/** Pages of errors are short, and login pages have their form at the beginning or none. */
const MAX_PAGE_CHARACTERS = 16_384

const parse = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    // Not JSON: the text of a proxy or of another program.
    return undefined
  }
}

/** The keys that hold the text, best first. Prometheus has `error`; Google and Azure have an object there; AWS has `message`. */
const textKeys = [
  "error",
  "error_description",
  "message",
  "Message",
  "detail",
  "errors",
  "title",
  "msg"
] as const

const MAX_DEPTH = 4

/** The text somewhere in an error's JSON: of its keys, or of the first object of a list. */
const textIn = (json: unknown, depth = 0): string | undefined => {
  if (typeof json === "string") return depth > 0 && json.trim() !== "" ? json : undefined
  if (depth === MAX_DEPTH) return undefined
  if (Array.isArray(json)) return textIn(json[0], depth + 1)
  if (!Predicate.isObject(json)) return undefined
  const texts = textKeys.flatMap(
    (key) => textIn(Object.hasOwn(json, key) ? json[key] : undefined, depth + 1) ?? []
  )
  // OAuth has a code in `error`, and the sentence beside it.
  return texts.find((text) => /\s/.test(text)) ?? texts[0]
}

// Only plain searches read a server's text, each in one pass. A regular expression with two quantifiers tries all combinations
// of their matches, and a server could send a text for which that takes hours.

/** VictoriaMetrics repeats the query, which may be long, before the error, and then each part that it could not evaluate. */
const withoutOwnQuery = (error: string): string => {
  if (!error.startsWith('error when executing query="')) return error
  const range = error.lastIndexOf('" on the time range (')
  const end = range < 0 ? -1 : error.indexOf(")", range)
  return end >= 0 && error.startsWith("): ", end) ? withoutParts(error.slice(end + 3)) : error
}

const partPrefixes = ["cannot execute query: ", 'cannot execute "', 'cannot evaluate "']

const withoutParts = (error: string): string => {
  let from = 0
  for (;;) {
    const prefix = partPrefixes.find((prefix) => error.startsWith(prefix, from))
    if (prefix === undefined) return error.slice(from)
    let next = from + prefix.length
    if (prefix.endsWith('"')) {
      while (next < error.length && error[next] !== '"') next += error[next] === "\\" ? 2 : 1
      if (!error.startsWith('": ', next)) return error.slice(from)
      next += 3
    }
    from = next
  }
}

/** A text without what it quotes: names, labels and queries, whose words say nothing about the error. */
export const withoutQuotes = (text: string): string =>
  text
    .replaceAll('\\"', "'")
    .replace(/"[^"]*"/g, '""')
    .replace(/`[^`]*`/g, "``")
    // A series: its name and labels. The look-behind keeps this linear.
    .replace(/(?:(?<![\w:.])[\w:.]+)?\{[^{}]*\}/g, "{}")

/** The title of a web page; empty if it has none. */
const titleOf = (page: string): string => {
  const tag = page.search(/<title[\s>]/i)
  const start = tag < 0 ? -1 : page.indexOf(">", tag)
  const end = start < 0 ? -1 : page.indexOf("<", start)
  return end < 0 ? "" : excerptLine(page.slice(start + 1, end))
}
