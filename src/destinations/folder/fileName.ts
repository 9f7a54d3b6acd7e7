/**
 * The file and folder names of streams. A metric may have any name, but a disk may ignore case, or refuse a colon, a long
 * name, or `con`.
 *
 * Lower-case letters, digits, `_`, `-` and `.` stay as they are. Other characters become `%` and two hex digits per byte.
 * Capitals stay, and a number after a `~` marks them: bit i is set if letter i of the name is a capital.
 */
import { createHash } from "node:crypto"

/** Most disks allow 255 bytes per name. Endings need some of them. */
const MAX_LENGTH = 180

/** Names of Windows devices, with any ending. */
const devices = /^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)/i

const escaped = (text: string): string =>
  Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

/** The name of a stream's file or folder, without an ending. Names of different streams differ even if case is ignored. */
export const fileName = (stream: string): string => {
  const plain = stream
    .replace(/[^A-Za-z0-9_.-]+/g, escaped)
    // Tools skip files that begin with `_` or `.`, and some systems drop a dot at the end.
    .replace(/^[_.-]|\.$/g, escaped)
    .replace(devices, (name) => escaped(name.slice(0, 1)) + name.slice(1))
  const name = plain + capitalsOf(stream)
  return name !== "" && name.length <= MAX_LENGTH && stream.isWellFormed() ? name : shortened(stream, plain)
}

/** A `~` and the positions of the capitals, if there are any. */
const capitalsOf = (text: string): string => {
  let bits = 0n
  let at = 0n
  for (const letter of text.match(/[A-Za-z]/g) ?? []) {
    if (letter <= "Z") bits |= 1n << at
    at++
  }
  return bits === 0n ? "" : `~${bits.toString(36)}`
}

/** A long name is cut and gets a hash. Only the stream's state has the full name. */
const shortened = (stream: string, plain: string): string => {
  const hash = createHash("sha256").update(Buffer.from(stream, "utf16le")).digest("hex")
  return `${plain.slice(0, 100).replace(/%.?$/, "").toLowerCase()}~~${hash.slice(0, 32)}`
}
