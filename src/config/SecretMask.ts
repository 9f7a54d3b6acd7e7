/** Masks secrets in all text that leaves the process: logs, traces and status messages. */
import { DONE, type Forms, formsOf } from "./SecretForms.ts"

const MASK = "****"

/**
 * Whether a secret may occur in any text by chance, because it is short, a plain word or a number.
 *
 * In a message of the program, a mask would reveal such a secret (`****://` for `http`). It is therefore masked only in a
 * server's text, which may repeat it, and only as a separate word.
 */
export const isCommon = (secret: string): boolean =>
  secret.length < 4 || /^(?:\p{L}{1,12}|\d{1,8})$/u.test(secret)

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
  const automaton = new SecretAutomaton(all.filter((secret) => secret.length <= LONG))
  return (text) => {
    const rest = long.reduce((text, form) => text.replaceAll(form, MASK), text)
    let out = ""
    let from = 0
    for (const { end, start } of automaton.findAll(rest)) {
      out += rest.slice(from, start) + MASK
      from = end
    }
    return from === 0 ? rest : out + rest.slice(from)
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

/** A position in a secret: what remains to be read from one of its characters on. */
interface Position {
  /** The encodings of the next character; undefined at the end of the secret. */
  readonly forms: Forms | undefined
  /** The position after a run of white space that begins here. Any other run of white space matches it. */
  readonly afterSpace: number | undefined
  readonly isCommon: boolean
}

/**
 * Searches a text for all secrets at once. A state combines a position in a secret and a state of that character's encoding in
 * one number. Each state has the index in the text where its match began, the earliest if there are several.
 */
class SecretAutomaton {
  private readonly positions: Array<Position> = []
  private readonly stride: number
  /** Used instead of an encoding state: within a run of white space. */
  private readonly inSpace: number
  /** The initial positions for each first code unit. */
  private readonly beginnings = new Map<number, Array<number>>()
  private current: States
  private next: States

  constructor(secrets: ReadonlyArray<string>) {
    const starts = secrets.map((secret) => this.addSecret(secret))
    this.inSpace = Math.max(0, ...this.positions.map(({ forms }) => forms?.length ?? 0))
    this.stride = this.inSpace + 1
    this.current = new States(this.positions.length * this.stride)
    this.next = new States(this.positions.length * this.stride)
    for (const start of starts) {
      const { afterSpace, forms } = this.positions[start]!
      const codes = new Set([...forms![0]!.keys(), ...(afterSpace === undefined ? [] : spaces)])
      for (const code of codes) {
        const others = this.beginnings.get(code)
        if (others === undefined) this.beginnings.set(code, [start])
        else others.push(start)
      }
    }
  }

  private addSecret(secret: string): number {
    const first = this.positions.length
    const common = isCommon(secret)
    for (const part of secret.match(/\s+|\S/gu) ?? []) {
      const characters = Array.from(part)
      const after = this.positions.length + characters.length
      for (const [i, character] of characters.entries()) {
        const afterSpace = i === 0 && isSpace(character.charCodeAt(0)) ? after : undefined
        this.positions.push({ forms: formsOf(character), afterSpace, isCommon: common })
      }
    }
    this.positions.push({ forms: undefined, afterSpace: undefined, isCommon: common })
    return first
  }

  /** The ranges of secrets in a text, in order and without overlap. */
  findAll(text: string): ReadonlyArray<Match> {
    const { inSpace, positions, stride } = this
    this.current.clear()
    const matches: Array<Match> = []
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      const { current, next } = this
      for (const position of this.beginnings.get(code) ?? []) {
        if (!positions[position]!.isCommon || isBoundaryBefore(text, i)) current.add(position * stride, i)
      }
      if (current.length === 0) continue
      /** Enters a position, unless the secret has been read completely. */
      const enter = (index: number, start: number): void => {
        const position = positions[index]!
        if (position.forms !== undefined) next.add(index * stride, start)
        else if (!(position.isCommon && isWordAt(text, i + 1))) addMatch(matches, start, i + 1)
      }
      for (let n = 0; n < current.length; n++) {
        const start = current.starts[n]!
        const state = current.states[n]!
        const index = Math.floor(state / stride)
        const within = state - index * stride
        const { afterSpace, forms } = positions[index]!
        if ((within === 0 || within === inSpace) && afterSpace !== undefined && isSpace(code)) {
          next.add(index * stride + inSpace, start)
          enter(afterSpace, start)
        }
        if (within === inSpace) continue
        const targets = forms![within]!.get(code)
        if (targets === undefined) continue
        for (const target of targets) {
          if (target === DONE) enter(index + 1, start)
          else next.add(index * stride + target, start)
        }
      }
      this.current = next
      this.next = current
      current.clear()
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

/** A set of states, each with the start of its match. */
class States {
  length = 0
  readonly states: Array<number> = []
  readonly starts: Array<number> = []
  /** The index of a state in the lists. It is valid only if the lists have that state at this index. */
  private readonly places: Uint32Array

  constructor(count: number) {
    this.places = new Uint32Array(count)
  }

  add(state: number, start: number): void {
    const place = this.places[state]!
    if (place < this.length && this.states[place] === state) {
      if (start < this.starts[place]!) this.starts[place] = start
      return
    }
    this.places[state] = this.length
    this.states[this.length] = state
    this.starts[this.length] = start
    this.length++
  }

  clear(): void {
    this.length = 0
  }
}

/** The code units that `\s` matches. */
const spaces: ReadonlySet<number> = new Set(
  Array.from(
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff",
    (space) => space.charCodeAt(0)
  )
)

const isSpace = (code: number): boolean => spaces.has(code)

const isWordAt = (text: string, index: number): boolean => /^[\p{L}\p{N}_]$/u.test(text.charAt(index))

/** Whether a word may begin at an index: not within another word, unless an escape sequence precedes it. */
const isBoundaryBefore = (text: string, index: number): boolean =>
  index === 0 ||
  !isWordAt(text, index - 1) ||
  /(?:%[0-9a-fA-F]{2}|\\[a-z]|\\u[0-9a-fA-F]{4})$/.test(text.slice(Math.max(0, index - 6), index))
