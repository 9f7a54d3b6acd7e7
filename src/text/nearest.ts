/** The names that a misspelled name may mean. */

/** Longer names are not compared: the table of distances would be large, and no one types them. */
const MAX_CHARACTERS = 300

/** A prefix that two names share says something from this length on. */
const MIN_PREFIX = 4

/**
 * The candidates that are most like a text, at most `most`, best first: a few edits away, in any case, or with a long common
 * prefix. With `isPart`, the text is the beginning or the end of a name.
 */
export const nearest = (
  text: string,
  candidates: Iterable<string>,
  most: number,
  isPart = false
): ReadonlyArray<string> => {
  const wanted = text.toLowerCase()
  const { length } = wanted
  if (length === 0 || length > MAX_CHARACTERS) return []
  const mostEdits = Math.max(1, Math.floor(length / 4))
  const found: Array<{ readonly name: string; readonly score: number }> = []
  for (const name of candidates) {
    if (name.length > MAX_CHARACTERS) continue
    const other = name.toLowerCase()
    const parts = isPart
      ? [length - 1, length, length + 1].flatMap((n) => [other.slice(0, n), other.slice(-n)])
      : []
    const edits = Math.min(...[other, ...parts].map((part) => distance(wanted, part, mostEdits)))
    if (edits <= mostEdits) found.push({ name, score: edits })
    else {
      const prefix = commonPrefix(wanted, other)
      // At least half of the shorter one, so that `node_x` is not like everything of the node exporter.
      if (prefix >= MIN_PREFIX && prefix * 2 >= Math.min(length, other.length)) {
        found.push({ name, score: 1000 - prefix + Math.abs(other.length - length) / 1000 })
      }
    }
  }
  return found
    .sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1))
    .slice(0, most)
    .map(({ name }) => name)
}

const commonPrefix = (a: string, b: string): number => {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return length
}

/** The number of characters to insert, delete, replace or swap with the next one; more than `most` if it is larger than that. */
const distance = (a: string, b: string, most: number): number => {
  if (Math.abs(a.length - b.length) > most) return most + 1
  let [beforeLast, last] = [[] as Array<number>, Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    let least = i
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let edits = Math.min(replaced, last[j]! + 1, row[j - 1]! + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, beforeLast[j - 2]! + 1)
      }
      row.push(edits)
      least = Math.min(least, edits)
    }
    if (least > most) return most + 1
    ;[beforeLast, last] = [last, row]
  }
  return last[b.length]!
}
