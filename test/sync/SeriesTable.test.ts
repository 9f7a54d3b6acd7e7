import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { SeriesTable } from "../../src/sync/SeriesTable.ts"
import { choices } from "../choices.ts"
import { runs } from "../support/runs.ts"

const idOf = (n: number): string => createHash("sha256").update(`${n}`).digest("hex").slice(0, 32)

/** Identities that are first probed in the same slot, because their first eight digits are the same. */
const clashing = (n: number): string => `0123abcd${idOf(n).slice(8)}`

const YEAR_9999 = Date.UTC(9999, 11, 31)

const few = { arbitrary: { runs: runs(25, 100) } }

describe("SeriesTable", () => {
  it.prop(
    "behaves like a Map of the latest times",
    [choices],
    ([choices]) => {
      const make = choices.oneIn(3) ? clashing : idOf
      const table = new SeriesTable()
      const map = new Map<string, number>()
      const ids = Array.from({ length: 1 + choices.below(300) }, (_, n) => make(n))
      for (let step = 0; step < 600; step++) {
        const id = choices.pick(ids)
        if (choices.oneIn(2)) {
          const number = choices.pick([0, 1, step, -1, YEAR_9999, Number.NEGATIVE_INFINITY])
          table.raise(id, number)
          map.set(id, Math.max(map.get(id) ?? number, number))
        }
        assert.strictEqual(table.get(id), map.get(id))
        assert.strictEqual(table.size, map.size)
      }
      for (const id of ids) assert.strictEqual(table.get(id), map.get(id))
    },
    few
  )

  it.prop(
    "merges the later times of another table",
    [choices],
    ([choices]) => {
      const ids = Array.from({ length: 200 }, (_, n) => (n % 2 === 0 ? idOf(n) : clashing(n)))
      const tables = [new SeriesTable(), new SeriesTable()] as const
      const highest = new Map<string, number>()
      for (const table of tables) {
        for (const id of ids) {
          if (choices.oneIn(2)) continue
          const number = choices.below(100)
          table.raise(id, number)
          highest.set(id, Math.max(highest.get(id) ?? 0, number))
        }
      }
      tables[0].raiseAll(tables[1])
      for (const id of ids) assert.strictEqual(tables[0].get(id), highest.get(id))
      assert.strictEqual(tables[0].size, highest.size)
    },
    few
  )

  it("distinguishes identities that differ in any one digit", () => {
    const table = new SeriesTable()
    const digits = "0123456789abcdef"
    let number = 0
    for (let at = 0; at < 32; at++) {
      for (const digit of digits.slice(1))
        table.raise(`${"0".repeat(at)}${digit}${"0".repeat(31 - at)}`, ++number)
    }
    assert.strictEqual(table.size, 32 * 15)
    number = 0
    for (let at = 0; at < 32; at++) {
      for (const digit of digits.slice(1)) {
        assert.strictEqual(table.get(`${"0".repeat(at)}${digit}${"0".repeat(31 - at)}`), ++number)
      }
    }
    assert.isUndefined(table.get("0".repeat(32)))
  })
})
