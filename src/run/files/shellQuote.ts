/** A text as one word of a POSIX shell. Plain ones stay as they are. */
export const shellQuote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`

/** A path as an argument, also where it begins like an option. */
export const pathArgument = (path: string): string => shellQuote(path.startsWith("-") ? `./${path}` : path)
