/**
 * Streams as names of files and folders. Metrics may be called anything, and a disk may not tell `A` from `a`, nor take
 * a colon, a long name, or `con`.
 *
 * A name of small letters, digits, `_`, `-` and `.` stays as it is. Other characters become `%` and two hex digits per
 * byte; capitals stay and are told by a number after a `~`: bit i of it stands for letter i of the name.
 */
import { createHash } from "node:crypto"

/** Files may have 255 bytes in their names on most disks; endings need some of them. */
const MAX_LENGTH = 180

/** What Windows takes for a device, whatever its ending. */
const devices = /^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)/i

const escaped = (text: string): string =>
  Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

/** The name, without an ending, of what belongs to a stream: different for different streams, in whatever case. */
export const fileName = (stream: string): string => {
  const plain = stream
    .replace(/[^A-Za-z0-9_.-]+/g, escaped)
    // Tools skip files that begin with `_` or `.`, and some systems drop a dot at the end.
    .replace(/^[_.-]|\.$/g, escaped)
    .replace(devices, (name) => escaped(name.slice(0, 1)) + name.slice(1))
  const name = plain + capitalsOf(stream)
  return name !== "" && name.length <= MAX_LENGTH && stream.isWellFormed() ? name : shortened(stream, plain)
}

/** `~` and which letters are capitals, if any is. */
const capitalsOf = (text: string): string => {
  let bits = 0n
  let at = 0n
  for (const letter of text.match(/[A-Za-z]/g) ?? []) {
    if (letter <= "Z") bits |= 1n << at
    at++
  }
  return bits === 0n ? "" : `~${bits.toString(36)}`
}

/** What does not fit begins like the stream, and is told from others by a hash: only its state says it in full. */
const shortened = (stream: string, plain: string): string => {
  const hash = createHash("sha256").update(Buffer.from(stream, "utf16le")).digest("hex")
  return `${plain.slice(0, 100).replace(/%.?$/, "").toLowerCase()}~~${hash.slice(0, 32)}`
}

/** The stream that a name belongs to; undefined where it was too long to be told from it. */
export const streamOf = (name: string): string | undefined =>
  name.includes("~~") ? undefined : decodeURIComponent(name.replace(/~.*$/, ""))
