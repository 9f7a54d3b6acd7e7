/** The largest of some numbers, at least 0. `Math.max(...numbers)` overflows the stack for a hundred thousand arguments. */
export const largest = (numbers: ReadonlyArray<number>): number =>
  numbers.reduce((most, number) => Math.max(most, number), 0)
