/** A text as one word of a POSIX shell. Plain ones stay as they are, and of the two quotes it has those that it needs not itself. */
export const shellQuote = (text: string): string => {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text
  return text.includes("'") && !/["$`\\!]/.test(text) ? `"${text}"` : `'${text.replaceAll("'", "'\\''")}'`
}

/** A path as an argument, also where it begins like an option. */
export const pathArgument = (path: string): string => shellQuote(path.startsWith("-") ? `./${path}` : path)
