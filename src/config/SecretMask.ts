/** Masks secrets in all text that leaves the process: logs, traces and status messages. */
import { Predicate, Redacted } from "effect"
import { addSecret, State } from "./SecretForms.ts"

const MASK = "****"

/**
 * Whether a secret may occur in any text by chance, because it is short, a plain word or a number.
 *
 * In a message of the program, a mask would reveal such a secret (`****://` for `http`). It is therefore masked only in a
 * server's text, which may repeat it, and only as a separate word.
 */
export const isCommon = (secret: string): boolean =>
  secret.length < 4 || /^(?:\p{L}{1,12}|\d{1,8})$/u.test(secret)

/** All secrets within a value, in the order in which they are found. */
export const redactedIn = (value: unknown): ReadonlyArray<string> => {
  if (Redacted.isRedacted(value)) return [String(Redacted.value(value))]
  if (!Predicate.isObjectOrArray(value)) return []
  return (value instanceof Map ? [...value] : Object.values(value)).flatMap(redactedIn)
}

/**
 * Creates a function that masks every occurrence of the secrets, including the encodings that servers and proxies use in JSON,
 * URLs, forms and web pages. Overlapping occurrences are masked together, because masking one could leave a part of the other.
 * The time is linear in the length of the text.
 */
export const makeMask = (secrets: ReadonlyArray<string>): ((text: string) => string) => {
  const all = [...new Set(secrets)].filter((secret) => secret !== "")
  if (all.length === 0) return (text) => text
  const long = all
    .filter((secret) => secret.length > LONG)
    .sort((a, b) => b.length - a.length)
    .flatMap(wholeForms)
  const findSecrets = makeSearch(all.filter((secret) => secret.length <= LONG))
  return (text) => {
    const rest = long.reduce((text, form) => text.replaceAll(form, MASK), text)
    let out = ""
    let from = 0
    for (const { end, start } of findSecrets(rest)) {
      out += rest.slice(from, start) + MASK
      from = end
    }
    return out + rest.slice(from)
  }
}

/** How many fetched secrets are masked: those in use, and some that have just expired. */
const MAX_FETCHED = 8

/** A mask to which secrets can be added, such as tokens that are fetched later. */
export class GrowingMask {
  private readonly secrets = new Set<string>()
  private readonly fetched = new Set<string>()
  /** Made when it is needed: few tokens are followed by a log. */
  private current: ((text: string) => string) | undefined

  constructor(secrets: ReadonlyArray<string> = []) {
    this.add(...secrets)
  }

  /** Adds secrets that are masked from now on. */
  readonly add = (...secrets: ReadonlyArray<string>): void => {
    const { size } = this.secrets
    for (const secret of secrets) this.secrets.add(secret)
    if (this.secrets.size > size) this.current = undefined
  }

  /**
   * Adds a secret that expires. The latest ones are masked: a run of days fetches hundreds, and a mask of all of them would take
   * its time and memory.
   */
  readonly addFetched = (secret: string): void => {
    const isKnown = this.fetched.delete(secret)
    this.fetched.add(secret)
    if (isKnown) return
    for (const oldest of this.fetched) {
      if (this.fetched.size <= MAX_FETCHED) break
      this.fetched.delete(oldest)
    }
    this.current = undefined
  }

  readonly mask = (text: string): string => {
    this.current ??= makeMask([...this.secrets, ...this.fetched])
    return this.current(text)
  }
}

/** No password is that long. A longer secret is searched as plain text. */
const LONG = 2000

/** The encodings of a long secret, from the longest to the shortest. */
const wholeForms = (secret: string): ReadonlyArray<string> => [
  encodeURIComponent(secret.toWellFormed()),
  JSON.stringify(secret).slice(1, -1),
  secret
]

/** The range of a secret in a text. */
interface Match {
  readonly start: number
  readonly end: number
}

/** Creates a function that finds the ranges of all secrets in a text, in order and without overlap. */
const makeSearch = (secrets: ReadonlyArray<string>): ((text: string) => ReadonlyArray<Match>) => {
  const beginning = new State()
  const end = new State()
  const beginningOfWord = new State()
  const endOfWord = new State()
  for (const secret of secrets) {
    if (isCommon(secret)) addSecret(beginningOfWord, secret, endOfWord)
    else addSecret(beginning, secret, end)
  }
  return (text) => {
    const matches: Array<Match> = []
    /** The states that are reached, each with the index where its match began: the earliest if there are several. */
    let current = new Map<State, number>()
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (beginning.next.has(code)) current.set(beginning, i)
      if (beginningOfWord.next.has(code) && isBoundaryBefore(text, i)) current.set(beginningOfWord, i)
      if (current.size === 0) continue
      const next = new Map<State, number>()
      for (const [state, start] of current) {
        for (const target of state.next.get(code) ?? []) {
          next.set(target, Math.min(start, next.get(target) ?? start))
        }
      }
      for (const target of [end, endOfWord]) {
        const start = next.get(target)
        if (start === undefined || (target === endOfWord && isWordAt(text, i + 1))) continue
        addMatch(matches, start, i + 1)
      }
      current = next
    }
    return matches
  }
}

/** Adds a match that ends at or after all others, merged with those that it overlaps. */
const addMatch = (matches: Array<Match>, start: number, end: number): void => {
  let first = start
  for (let last = matches.at(-1); last !== undefined && last.end > start; last = matches.at(-1)) {
    first = Math.min(first, last.start)
    matches.pop()
  }
  matches.push({ start: first, end })
}

const isWordAt = (text: string, index: number): boolean => /^[\p{L}\p{N}_]$/u.test(text.charAt(index))

/** Whether a word may begin at an index: not within another word, unless an escape sequence precedes it. */
const isBoundaryBefore = (text: string, index: number): boolean =>
  index === 0 ||
  !isWordAt(text, index - 1) ||
  /(?:%[0-9a-fA-F]{2}|\\[a-z]|\\u[0-9a-fA-F]{4})$/.test(text.slice(Math.max(0, index - 6), index))
