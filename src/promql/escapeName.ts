/**
 * Label names in the path of an address. Since version 3, Prometheus takes any text as a name, but no `/` there; VictoriaMetrics
 * followed. Both have names with such characters escaped: `U__` and then each character as it is, `_` as `__`, and others by
 * their hexadecimal number, as in `U__k8s_2e_pod`.
 * https://github.com/prometheus/proposals/blob/main/proposals/2023-08-21-utf8.md
 */
import { isBareName } from "./Matcher.ts"

const PREFIX = "U__"

/** A name as a segment of a path. Names that every version accepts are unchanged. */
export const escapeName = (name: string): string =>
  // A server would take a name that begins like an escaped one for one.
  isBareName(name) && !name.startsWith(PREFIX) ? name : `${PREFIX}${[...name].map(escapeCharacter).join("")}`

const escapeCharacter = (character: string, index: number): string => {
  if (character === "_") return "__"
  if (/[a-zA-Z:]/.test(character) || (index > 0 && /[0-9]/.test(character))) return character
  // A lone surrogate is no character. Go has this one in its place.
  const code = character.isWellFormed() ? character.codePointAt(0)! : 0xfffd
  return `_${code.toString(16)}_`
}

/** The name in a segment of a path, as servers decode it. A segment that is not escaped correctly is returned unchanged. */
export const unescapeName = (segment: string): string => {
  if (!segment.startsWith(PREFIX)) return segment
  const escaped = segment.slice(PREFIX.length)
  if (!/^(?:[^_]|__|_[0-9a-f]{1,6}_)*$/is.test(escaped)) return segment
  let isValid = true
  const name = escaped.replace(/__|_([0-9a-f]{1,6})_/gi, (_, hex: string | undefined) => {
    if (hex === undefined) return "_"
    const code = Number.parseInt(hex, 16)
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      isValid = false
      return ""
    }
    return String.fromCodePoint(code)
  })
  return isValid ? name : segment
}
