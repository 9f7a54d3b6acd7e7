/**
 * The external labels of a Prometheus, from its configuration. A server adds them to the series of remote reads, but not to those
 * of queries.
 */

/** Labels by name. */
export interface ExternalLabels extends ReadonlyMap<string, string> {
  /** Those that no series has by itself: all series of a remote read must have them, with these values. */
  readonly unowned?: ReadonlySet<string>
}

/** External labels, some of them not owned by any series. */
export class CheckedLabels extends Map<string, string> implements ExternalLabels {
  readonly unowned: ReadonlySet<string>

  constructor(labels: Iterable<readonly [name: string, value: string]>, unowned: ReadonlySet<string>) {
    super(labels)
    this.unowned = unowned
  }
}

/** Line breaks of YAML that are none in a configuration. */
const otherBreaks = /[\u0085\u2028\u2029]/

/** A label of the list, whose name is quoted if it could be read as something else. */
const labelLine = /^ {4}("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^ "'|>][^:]*): (\S.*)$/

/**
 * Reads the external labels of a configuration as the server writes it: a mapping per level, two spaces deeper than the one
 * around it. Undefined if that is not what the text is, or if a value has a form that is not read here.
 */
export const parseExternalLabels = (yaml: string): ExternalLabels | undefined => {
  const global = blockOf(yaml.split("\n"), "global:")
  if (global === undefined) return undefined
  const lines = blockOf(global, "  external_labels:")
  if (lines === undefined) return new Map()
  const labels = new Map<string, string>()
  for (let i = 0; i < lines.length; ) {
    const [, name = "", first = ""] = labelLine.exec(lines[i]!) ?? []
    if (name === "") return undefined
    const parts = [first]
    // A long value continues on lines that are deeper.
    for (i++; i < lines.length && /^ {6}/.test(lines[i]!); i++) parts.push(lines[i]!.slice(6))
    const [label, value] = [scalarOf(name), scalarOf(parts.join(" "))]
    if (label === undefined || value === undefined) return undefined
    labels.set(label, value)
  }
  return labels
}

/** The lines below a line that are deeper than it. */
const blockOf = (lines: ReadonlyArray<string>, head: string): ReadonlyArray<string> | undefined => {
  const start = lines.indexOf(head)
  if (start < 0) return undefined
  const depth = head.length - head.trimStart().length
  const inner = lines.slice(start + 1)
  const end = inner.findIndex((line) => line !== "" && !line.startsWith(" ".repeat(depth + 1)))
  return inner.slice(0, end < 0 ? inner.length : end).filter((line) => line !== "")
}

/** The text of a scalar: plain, or in quotes of either kind. */
const scalarOf = (text: string): string | undefined => {
  if (otherBreaks.test(text)) return undefined
  if (text.startsWith("'")) {
    return /^'(?:[^']|'')*'$/.test(text) ? text.slice(1, -1).replaceAll("''", "'") : undefined
  }
  if (!text.startsWith('"')) return /^[|>&*!%@`[{]/.test(text) ? undefined : text
  if (!/^"(?:[^"\\]|\\.)*"$/.test(text)) return undefined
  let isKnown = true
  const unescaped = text
    .slice(1, -1)
    .replace(
      /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/g,
      (_, two, four, eight, one) => {
        const digits: string | undefined = two ?? four ?? eight
        if (digits !== undefined) {
          const code = Number.parseInt(digits, 16)
          if (code <= 0x10ffff) return String.fromCodePoint(code)
        }
        const known = escapes[one]
        if (known === undefined) isKnown = false
        return known ?? ""
      }
    )
  return isKnown ? unescaped : undefined
}

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  "0": "\0",
  a: "\x07",
  b: "\b",
  e: "\x1b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  _: "\u00a0",
  N: "\u0085",
  L: "\u2028",
  P: "\u2029"
}
