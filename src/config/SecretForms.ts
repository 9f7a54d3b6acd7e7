/**
 * The encodings of a secret in a text: plain, JSON, URLs, forms, web pages and logs.
 *
 * They are an automaton, so that a text is read once, whatever it contains. An equivalent regular expression would backtrack
 * over long runs of backslashes, blanks or zeros.
 */

/** A state of the automaton. */
export class State {
  /** The states that follow, by code unit. */
  readonly next = new Map<number, Array<State>>()

  /** Adds a path over the units of a text, each in one of its variants. Returns its end. */
  path(text: string, end = new State(), variants = (unit: string): Iterable<string> => [unit]): State {
    connect(this, text.split(""), end, (from, unit, to) => {
      for (const variant of variants(unit)) from.add(variant.charCodeAt(0), to)
    })
    return end
  }

  /** Adds a path over one or more of a unit. Returns its end. */
  run(unit: string): State {
    const end = this.path(unit)
    return end.path(unit, end)
  }

  private add(code: number, to: State): void {
    const states = this.next.get(code)
    if (states === undefined) this.next.set(code, [to])
    else states.push(to)
  }
}

/** Connects two states by the paths of some items, one after the other. */
const connect = <Item>(
  start: State,
  items: ReadonlyArray<Item>,
  end: State,
  addItem: (from: State, item: Item, to: State) => void
): void => {
  let from = start
  for (const [i, item] of items.entries()) {
    const to = i === items.length - 1 ? end : new State()
    addItem(from, item, to)
    from = to
  }
}

/** Adds all encodings of a secret. A run of white space in it also matches any other run. */
export const addSecret = (start: State, secret: string, end: State): void =>
  connect(start, secret.match(/\s+|\S/gu) ?? [], end, (from, part, to) => {
    connect(from, Array.from(part), to, addCharacter)
    if (!/\s/.test(part)) return
    const within = new State()
    for (const before of [from, within]) {
      for (const space of spaces) before.path(space, within)
      for (const space of spaces) before.path(space, to)
    }
  })

/** Letters and digits are never encoded. */
const addCharacter = (from: State, character: string, to: State): void => {
  from.path(character, to)
  if (/^[0-9A-Za-z]$/.test(character)) return
  const code = character.codePointAt(0)!
  if (character === " ") from.path("+", to)
  // JSON, possibly quoted several times.
  const short = shortEscapes[character]
  if (short !== undefined) from.run("\\").path(short, to)
  connect(from, character.split(""), to, (from, unit, to) => {
    from
      .run("\\")
      .path("u")
      .path(hex(unit.charCodeAt(0), 4), to, inAnyCase)
  })
  const bytes = [...Buffer.from(character)]
  // URLs, also within the query of others: the percent sign itself is encoded there.
  connect(from, bytes, to, (from, byte, to) => {
    const sign = from.path("%")
    sign.path("25", sign).path(hex(byte, 2), to, inAnyCase)
  })
  // Logs of nginx, and texts of Go and Python.
  connect(from, bytes, to, (from, byte, to) => {
    from.run("\\").path("x").path(hex(byte, 2), to, inAnyCase)
  })
  // UTF-8 that was read as Latin-1, as headers are.
  if (code > 0x7f) from.path(Buffer.from(character).toString("latin1"), to)
  const number = from.path("&#")
  number.path("0", number).path(`${code};`, to)
  const hexNumber = number.path("x", new State(), inAnyCase)
  hexNumber.path("0", hexNumber).path(`${hex(code, 1)};`, to, inAnyCase)
  const entity = entities[character]
  if (entity !== undefined) from.path(`&${entity};`, to)
}

const inAnyCase = (unit: string): Iterable<string> => new Set([unit.toLowerCase(), unit.toUpperCase()])

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")

/** The characters that `\s` matches. */
const spaces =
  "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"

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
