/**
 * Checks the limit of open files. Below the number that the program needs, opening a file fails with an error that does not
 * mention the limit.
 */
import { readFileSync } from "node:fs"

/** Enough for sockets to the server, files of a destination and Node's own. */
const MIN_OPEN_FILES = 64

/** A message if the limit of open files is too low; undefined if it suffices or is not known. */
export const openFilesProblem = (): string | undefined => {
  let limit: string
  try {
    const limits = readFileSync("/proc/self/limits", "latin1")
    limit = /^Max open files +(\d+) /m.exec(limits)?.[1] ?? `${MIN_OPEN_FILES}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EMFILE") return undefined
    limit = "too few"
  }
  return Number(limit) >= MIN_OPEN_FILES
    ? undefined
    : `This process may open ${limit} files at a time and needs ${MIN_OPEN_FILES}: raise the limit (ulimit -n ${MIN_OPEN_FILES}, or more).`
}
