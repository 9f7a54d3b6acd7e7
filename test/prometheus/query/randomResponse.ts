/** Random responses to range queries, in every form that JSON and Prometheus allow. */
import type { Choices } from "../../choices.ts"

/** What a response may have. */
export interface ResponseOptions {
  /** Whether it may have values that a reader skips: unknown keys, statistics, infos. */
  readonly unknownKeys: boolean
}

const texts = [
  "a",
  "job",
  "__proto__",
  "constructor",
  "time",
  "value",
  "1",
  "",
  'quo"te',
  "back\\slash",
  "sl/ash",
  "\b\f\n\r\t\u0000\u001f\u007f",
  "é",
  "漢字",
  "\u2028\u2029\ufeff\uffff\ue000",
  "😀",
  "a😀b\u{10ffff}",
  "[{]},:",
  "x".repeat(40)
]

const numbers = [
  "0",
  "-0",
  "1",
  "-1",
  "42",
  "1.5",
  "-1.5",
  "0.1",
  "0.30000000000000004",
  "1e-07",
  "1e+21",
  "-1.5e-300",
  "1E5",
  "0e0",
  "1.7976931348623157e+308",
  "123456789012345678901234567890.5",
  "NaN",
  "+Inf",
  "-Inf"
]

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "/": "\\/",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t"
}

class Writer {
  readonly choices: Choices
  readonly options: ResponseOptions
  /** Half of all responses are as servers write them: without white space and unnecessary escapes. */
  readonly plain: boolean

  constructor(choices: Choices, options: ResponseOptions) {
    this.choices = choices
    this.options = options
    this.plain = choices.below(2) === 0
  }

  space(): string {
    if (this.plain || !this.choices.oneIn(4)) return ""
    return this.choices.pick([" ", "\n", "\t", "\r\n", "   ", " \n\t\r "])
  }

  string(text: string): string {
    const escapeMore = !this.plain && this.choices.oneIn(3)
    let out = ""
    // By code units: a pair of surrogates may be written as one character, or as two escapes.
    for (let i = 0; i < text.length; i++) {
      const unit = text.charAt(i)
      const code = text.charCodeAt(i)
      const isHigh = code >= 0xd800 && code < 0xdc00
      const must = code < 0x20 || unit === '"' || unit === "\\"
      if (!must && !(escapeMore && this.choices.oneIn(3))) {
        out += isHigh ? text.slice(i, i + 2) : unit
        if (isHigh) i++
        continue
      }
      const short = shortEscapes[unit]
      if (short !== undefined && !this.choices.oneIn(3)) out += short
      else out += this.hex(code)
      if (isHigh) out += this.hex(text.charCodeAt(++i))
    }
    return `"${out}"`
  }

  hex(code: number): string {
    const digits = code.toString(16).padStart(4, "0")
    return `\\u${this.choices.oneIn(2) ? digits.toUpperCase() : digits}`
  }

  list(items: ReadonlyArray<string>): string {
    if (items.length === 0) return `[${this.space()}]`
    return `[${items.map((item) => this.space() + item + this.space()).join(",")}]`
  }

  object(members: ReadonlyArray<readonly [key: string, value: string]>): string {
    if (members.length === 0) return `{${this.space()}}`
    const order = this.choices.oneIn(2) ? this.choices.shuffle(members) : members
    return `{${order
      .map(
        ([key, value]) =>
          `${this.space()}${this.string(key)}${this.space()}:${this.space()}${value}${this.space()}`
      )
      .join(",")}}`
  }

  /** Members with keys that a reader does not know. */
  unknown(): Array<readonly [key: string, value: string]> {
    if (!this.options.unknownKeys || !this.choices.oneIn(3)) return []
    return this.choices.list(3, (index) => [
      `${this.choices.pick(["", "x", "é", "😀"])}${index}?`,
      this.any(3)
    ])
  }

  any(depth: number): string {
    switch (this.choices.below(depth > 0 ? 8 : 6)) {
      case 0:
        return "null"
      case 1:
        return "true"
      case 2:
        return "false"
      case 3:
        return this.choices.pick(["0", "-1.5e+3", "12345678901234567890"])
      case 4:
      case 5:
        return this.string(this.choices.pick(texts))
      case 6:
        return this.list(this.choices.list(3, () => this.any(depth - 1)))
      default:
        return this.object(this.choices.list(3, (index) => [`k${index}`, this.any(depth - 1)]))
    }
  }

  number(): string {
    const choices = this.choices
    switch (choices.below(3)) {
      case 0:
        return choices.pick(numbers)
      case 1:
        return String(choices.below(1_000_000))
      default:
        return String(choices.below(1_000_000) / choices.pick([10, 1000, -7]))
    }
  }

  time(millis: number): string {
    const seconds = Math.floor(millis / 1000)
    const rest = String(millis - seconds * 1000).padStart(3, "0")
    const isComplete = rest === "000"
    if (isComplete && this.choices.below(2) === 0) return String(seconds)
    switch (this.choices.below(this.plain ? 2 : 5)) {
      case 0:
        return `${seconds}.${rest}`
      case 1:
        return String(millis / 1000)
      case 2:
        return `${seconds}.${rest}000`
      case 3:
        return `${millis}e-3`
      default:
        return `${millis / 100}E-1`
    }
  }

  histogram(): string {
    const number = () => this.string(this.number())
    return this.object([
      ["count", number()],
      ["sum", number()],
      ...(this.choices.oneIn(3)
        ? []
        : [
            [
              "buckets",
              this.list(
                this.choices.list(4, () =>
                  this.list([String(this.choices.below(4)), number(), number(), number()])
                )
              )
            ] as const
          ]),
      ...this.unknown()
    ])
  }

  samples(value: () => string): string {
    const choices = this.choices
    if (choices.oneIn(8)) return "null"
    let millis = choices.pick([1435781430781, 1435781430000, 0, 999, 1_767_225_600_000])
    const step = choices.pick([15_000, 1000, 1, 3_600_000, 500, 250])
    return this.list(
      choices.list(choices.oneIn(4) ? 40 : 8, () => {
        const sample = this.list([this.time(millis), value()])
        millis += step
        return sample
      })
    )
  }

  series(): string {
    const labels = new Map(
      this.choices.list(5, () => [this.choices.pick(texts), this.choices.pick(texts)] as const)
    )
    const members: Array<readonly [string, string]> = [
      ["metric", this.object(Array.from(labels, ([name, value]) => [name, this.string(value)] as const))]
    ]
    if (!this.choices.oneIn(5)) members.push(["values", this.samples(() => this.string(this.number()))])
    if (this.choices.oneIn(3)) members.push(["histograms", this.samples(() => this.histogram())])
    return this.object([...members, ...this.unknown()])
  }

  response(): string {
    const choices = this.choices
    const result = choices.oneIn(10) ? "null" : this.list(choices.list(6, () => this.series()))
    const data: Array<readonly [string, string]> = [["result", result]]
    if (!choices.oneIn(8)) data.unshift(["resultType", this.string("matrix")])
    if (this.options.unknownKeys && choices.oneIn(5)) data.push(["stats", this.any(4)])
    const members: Array<readonly [string, string]> = [
      ["status", this.string("success")],
      ["data", this.object([...data, ...this.unknown()])]
    ]
    if (choices.oneIn(4)) members.push(["warnings", this.notes()])
    if (this.options.unknownKeys && choices.oneIn(4)) members.push(["infos", this.notes()])
    if (this.options.unknownKeys && choices.oneIn(6)) members.push(["isPartial", "false"])
    if (choices.oneIn(10)) members.push(["errorType", choices.pick(["null", '"timeout"'])])
    if (choices.oneIn(10)) members.push(["error", choices.pick(["null", this.string("é \n 😀")])])
    return this.space() + this.object([...members, ...this.unknown()])
  }

  notes(): string {
    return this.choices.oneIn(4)
      ? "null"
      : this.list(this.choices.list(3, () => this.string(this.choices.pick(texts))))
  }
}

/** A successful response; it ends with its last brace. */
export const randomResponse = (choices: Choices, options: ResponseOptions): string =>
  new Writer(choices, options).response()

/** Cuts bytes into chunks, each with its own memory, as from a network. */
export const randomChunks = (choices: Choices, bytes: Uint8Array): Array<Uint8Array> => {
  const largest = choices.pick([bytes.length, 1, 2, 7, 40, 300, 1000])
  const chunks: Array<Uint8Array> = []
  for (let from = 0; from < bytes.length; ) {
    const size = Math.max(1, largest === bytes.length ? choices.below(largest) : choices.between(1, largest))
    chunks.push(bytes.slice(from, from + size))
    from += size
  }
  return chunks
}
