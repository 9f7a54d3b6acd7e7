/** What HTTP headers can contain. */

/** More than HTTP servers accept for all headers together, and the most that the mask of secrets can handle. */
export const MAX_HEADER_CHARACTERS = 16_384

/** A longer text is usually the wrong file. */
export const lengthProblems = (path: string, { length }: string): ReadonlyArray<string> =>
  length <= MAX_HEADER_CHARACTERS
    ? []
    : [
        `${path} has ${length} characters, but must have at most ${MAX_HEADER_CHARACTERS}, because it is sent in an HTTP header.`
      ]

/** The problems of a secret that is sent in a header as it is. `allowed` matches a text of allowed characters. */
export const headerProblems = (path: string, value: string, allowed: RegExp): ReadonlyArray<string> => [
  ...(allowed.test(value)
    ? []
    : [
        `${path} ${/^[^\r\n]*[\r\n]+$/.test(value) ? "ends with a line feed, which is" : "has characters that are"} not allowed in an HTTP header (its value is not shown).`
      ]),
  ...lengthProblems(path, value)
]
