import { relative, sep } from "node:path"

/** Whether a path is in a folder that is a destination. A page may be at its top, beside the files of streams. */
export const ownsFile = (folder: string, path: string): boolean => {
  const [first = "", ...rest] = relative(folder, path).split(sep)
  if (first === "") return true
  const isInside = first !== ".." && !first.includes(":")
  return isInside && (rest.length > 0 || !/\.html?$/i.test(path))
}
