/** A count for a person, with its noun: `1 record`, `12,000 records`. A noun that ends with s stays as it is. */
export const counted = (count: number, noun: string): string =>
  `${String(count).replace(/\B(?=(\d{3})+$)/g, ",")} ${noun}${count === 1 || noun.endsWith("s") ? "" : "s"}`
