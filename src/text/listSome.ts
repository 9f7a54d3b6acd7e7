/** The first items of a list, and the number of the others: `a, b and 7 more`. */
export const listSome = (items: ReadonlyArray<string>, most: number): string => {
  const more = items.length - most
  return `${items.slice(0, most).join(", ")}${more > 0 ? ` and ${more} more` : ""}`
}
