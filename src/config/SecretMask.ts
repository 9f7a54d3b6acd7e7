/** Hides secret values in texts that leave the process: logs, traces and status messages. */
import { DONE, type Forms, formsOf } from "./SecretForms.ts"

const MASK = "****"

/**
 * Whether a secret may stand in any text by chance: it is short, a plain word or a number.
 *
 * In a sentence of ours its mask would only say what it is (`****://` of `http`), so such a secret is masked in texts of
 * servers alone, where they may have repeated it, and only where it stands alone.
 */
export const isCommon = (secret: string): boolean =>
  secret.length < 4 || /^(?:\p{L}{1,12}|\d{1,8})$/u.test(secret)

/**
 * Makes a function that masks every occurrence of the secrets, also as servers and proxies repeat them in JSON, addresses,
 * forms and web pages. Occurrences that overlap are masked together, or what they share would leave a part of one. It takes
 * time in proportion to the text.
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

/** No password is that long. A longer secret is searched for as plain text. */
const LONG = 2000

/** How a long secret is repeated, if at all, from the longest form to the shortest. */
const wholeForms = (secret: string): ReadonlyArray<string> => [
  encodeURIComponent(secret.toWellFormed()),
  JSON.stringify(secret).slice(1, -1),
  secret
]

/** Where in a text a secret is. */
interface Match {
  readonly start: number
  readonly end: number
}

/** What is left to read of a secret from one of its characters on. */
interface Position {
  /** How the next character may be written; undefined once all have been read. */
  readonly forms: Forms | undefined
  /** The position behind a run of white space that begins here: such a run may be written as any other. */
  readonly afterSpace: number | undefined
  readonly isCommon: boolean
}

/**
 * Reads a text for all secrets at once. A state is a position and a state of its character's forms, as one number; beside
 * each stands where in the text it began, the earliest where there are several.
 */
class SecretAutomaton {
  private readonly positions: Array<Position> = []
  private readonly stride: number
  /** In the place of a state of forms: within a run of white space. */
  private readonly inSpace: number
  /** Where secrets begin that may begin with a code unit. */
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

  /** Where secrets are in a text, in order. None of the places overlaps another. */
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
      /** Continues at a position, unless all of a secret has been read. */
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

/** Adds a match that ends at or after all others, together with those that it overlaps. */
const addMatch = (matches: Array<Match>, start: number, end: number): void => {
  let first = start
  for (let last = matches.at(-1); last !== undefined && last.end > start; last = matches.at(-1)) {
    first = Math.min(first, last.start)
    matches.pop()
  }
  matches.push({ start: first, end })
}

/** A set of states, each with where it began. */
class States {
  length = 0
  readonly states: Array<number> = []
  readonly starts: Array<number> = []
  /** Where in the lists a state is, if what stands there is it. */
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

/** Whether a word may begin at a place: not within another, unless what stands before it is an escape. */
const isBoundaryBefore = (text: string, index: number): boolean =>
  index === 0 ||
  !isWordAt(text, index - 1) ||
  /(?:%[0-9a-fA-F]{2}|\\[a-z]|\\u[0-9a-fA-F]{4})$/.test(text.slice(Math.max(0, index - 6), index))
