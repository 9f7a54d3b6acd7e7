/** The largest of some numbers, at least `least`. `Math.max(...numbers)` overflows the stack for a hundred thousand arguments. */
export const largest = (numbers: ReadonlyArray<number>, least = 0): number =>
  numbers.reduce((most, number) => Math.max(most, number), least)
