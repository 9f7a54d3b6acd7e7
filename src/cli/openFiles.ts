/** How many files the process may have open: with too few, whatever is opened next fails, in words that do not say why. */
import { readFileSync } from "node:fs"

/** Enough for all that the program does: sockets to the server, files of a destination, Node's own. */
const LEAST_OPEN_FILES = 64

/** What to say where the process may open too few files; nothing where it may, or where the system does not tell. */
export const tooFewOpenFiles = (): string | undefined => {
  let limit: string
  try {
    const limits = readFileSync("/proc/self/limits", "latin1")
    limit = /^Max open files +(\d+) /m.exec(limits)?.[1] ?? `${LEAST_OPEN_FILES}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EMFILE") return undefined
    limit = "too few"
  }
  return Number(limit) >= LEAST_OPEN_FILES
    ? undefined
    : `This process may open ${limit} files at a time and needs ${LEAST_OPEN_FILES}: raise the limit (ulimit -n ${LEAST_OPEN_FILES}, or more).`
}
