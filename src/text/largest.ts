/** The largest of some numbers, or `least` if that is larger. `Math.max(...numbers)` fails for a hundred thousand: each is an argument. */
export const largest = (numbers: ReadonlyArray<number>, least = 0): number =>
  numbers.reduce((most, number) => Math.max(most, number), least)
