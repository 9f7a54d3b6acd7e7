/**
 * Random choices for tests whose inputs are easier to write by hand than to describe as a schema.
 *
 * A property takes a `Choices` made from two numbers: the seed, and how many choices are random. Beyond that
 * many, every choice is the first one, so that shrinking the second number makes an input simpler.
 */
import { Arbitrary, Schema } from "effect"

/** A source of choices that always makes the same ones for the same two numbers. */
export class Choices {
  readonly seed: number
  readonly budget: number
  private state: number
  private made = 0

  constructor(seed: number, budget: number) {
    this.seed = seed
    this.budget = budget
    this.state = seed | 0
  }

  /** An integer from 0 to `count − 1`. */
  below(count: number): number {
    if (this.made++ >= this.budget) return 0
    // mulberry32
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * count)
  }

  /** An integer from `minimum` to `maximum`. */
  between(minimum: number, maximum: number): number {
    return minimum + this.below(maximum - minimum + 1)
  }

  /** True once in `times`; false where choices have run out. */
  oneIn(times: number): boolean {
    return this.below(times) === times - 1
  }

  pick<A>(items: ReadonlyArray<A>): A {
    return items[this.below(items.length)]!
  }

  list<A>(maximum: number, make: (index: number) => A): Array<A> {
    return Array.from({ length: this.below(maximum + 1) }, (_, index) => make(index))
  }

  shuffle<A>(items: ReadonlyArray<A>): Array<A> {
    const out = [...items]
    for (let i = 0; i < out.length - 1; i++) {
      const j = i + this.below(out.length - i)
      const kept = out[i]!
      out[i] = out[j]!
      out[j] = kept
    }
    return out
  }
}

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Choices as the input of a property. */
export const choices: Arbitrary.Arbitrary<Choices> = Arbitrary.map(
  Arbitrary.all([
    Arbitrary.schema(integer(0, 0xffffffff)),
    Arbitrary.schema(integer(0, 60)),
    Arbitrary.schema(integer(200, 3000))
  ]),
  ([seed, few, many]) => new Choices(seed, seed % 8 === 0 ? few : many)
)
