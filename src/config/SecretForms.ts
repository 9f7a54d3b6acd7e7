/**
 * The encodings of a secret's characters in a text: plain, JSON, URLs, forms and web pages.
 *
 * The encodings of a character are an automaton, so that a text is read once, whatever it contains. An equivalent regular
 * expression would backtrack over long runs of backslashes, blanks or zeros.
 */

/** The final state: the character has been read. */
export const DONE = -1

/** The next state for each state and code unit. The first state is 0. */
export type Forms = ReadonlyArray<ReadonlyMap<number, ReadonlyArray<number>>>

/** All encodings of a character. Letters and digits are never encoded. */
export const formsOf = (character: string): Forms => {
  const known = cache.get(character)
  if (known !== undefined) return known
  const forms = makeForms(character)
  if (cache.size < MAX_CACHED) cache.set(character, forms)
  return forms
}

const cache = new Map<string, Forms>()
const MAX_CACHED = 1000

const makeForms = (character: string): Forms => {
  const builder = new FormsBuilder()
  builder.literal(0, character)
  if (/^[0-9A-Za-z]$/.test(character)) return builder.states
  const code = character.codePointAt(0)!
  if (character === " ") builder.literal(0, "+")
  // JSON, possibly quoted several times.
  const backslashes = builder.newState()
  builder.add(0, "\\", backslashes)
  builder.add(backslashes, "\\", backslashes)
  const short = shortEscapes[character]
  if (short !== undefined) builder.literal(backslashes, short)
  let from = backslashes
  for (let i = 0; i < character.length; i++) {
    const digits = builder.newState()
    builder.add(from, "u", digits)
    const isLast = i === character.length - 1
    from = isLast ? DONE : builder.newState()
    builder.anyCase(digits, hex(character.charCodeAt(i), 4), from)
    if (isLast) break
    const again = builder.newState()
    builder.add(from, "\\", again)
    builder.add(again, "\\", again)
    from = again
  }
  builder.anyCase(0, Array.from(Buffer.from(character), (byte) => `%${hex(byte, 2)}`).join(""), DONE)
  const entity = builder.newState()
  builder.add(0, "&", entity)
  const number = builder.newState()
  builder.add(entity, "#", number)
  builder.add(number, "0", number)
  builder.literal(number, `${code};`)
  const hexNumber = builder.newState()
  for (const x of "xX") builder.add(number, x, hexNumber)
  builder.add(hexNumber, "0", hexNumber)
  builder.anyCase(hexNumber, `${hex(code, 1)};`, DONE)
  const name = entities[character]
  if (name !== undefined) builder.literal(entity, `${name};`)
  return builder.states
}

class FormsBuilder {
  readonly states: Array<Map<number, Array<number>>> = [new Map()]

  newState(): number {
    return this.states.push(new Map()) - 1
  }

  add(from: number, unit: string, to: number): void {
    const transitions = this.states[from]!
    const code = unit.charCodeAt(0)
    const targets = transitions.get(code)
    if (targets === undefined) transitions.set(code, [to])
    else targets.push(to)
  }

  /** Accepts the text itself, and with it the character. */
  literal(from: number, text: string): void {
    this.path(from, text, DONE, (unit) => [unit])
  }

  /** The text in upper or lower case. */
  anyCase(from: number, text: string, to: number): void {
    this.path(from, text, to, (unit) => [...new Set([unit.toLowerCase(), unit.toUpperCase()])])
  }

  private path(
    from: number,
    text: string,
    to: number,
    variants: (unit: string) => ReadonlyArray<string>
  ): void {
    let state = from
    for (let i = 0; i < text.length; i++) {
      const next = i === text.length - 1 ? to : this.newState()
      for (const unit of variants(text[i]!)) this.add(state, unit, next)
      state = next
    }
  }
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  "\\": "\\",
  "/": "/",
  "\b": "b",
  "\f": "f",
  "\n": "n",
  "\r": "r",
  "\t": "t"
}

const entities: Readonly<Record<string, string>> = {
  "&": "amp",
  "<": "lt",
  ">": "gt",
  '"': "quot",
  "'": "apos",
  "\u00a0": "nbsp"
}
