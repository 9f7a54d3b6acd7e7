import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { makeScreen, Screen } from "../../src/terminal/Screen.ts"
import { choices } from "../choices.ts"
import { FakeTerminal } from "./FakeTerminal.ts"

const live = { isLive: true, hasColours: true }

const make = (columns: number, rows: number) => {
  const terminal = new FakeTerminal({ columns, rows })
  return { terminal, screen: makeScreen(terminal, live) }
}

describe("a screen", () => {
  it("redraws the picture in place, below the printed lines", () => {
    const { screen, terminal } = make(40, 10)
    screen.draw(["a 1", "b 1"])
    assert.isFalse(terminal.isCursorVisible)
    screen.printAbove("first")
    screen.draw(["a 2", "b 2", "c 2"])
    screen.printAbove("second\nthird")
    screen.draw(["c 3"])
    assert.deepStrictEqual(terminal.text, ["first", "second", "third", "c 3"])
    screen.clear()
    assert.deepStrictEqual(terminal.text, ["first", "second", "third"])
    assert.isTrue(terminal.isCursorVisible)
  })

  it("prints no escape sequences other than colours", () => {
    const { screen, terminal } = make(40, 10)
    screen.printAbove("\u001b[31mred\u001b[0m\u001b[2J\u001b]0;title\u0007\r\nnext")
    screen.draw(["\u001b[8mhidden\u202e"])
    assert.strictEqual(terminal.text.at(-1), "\\u001b[8mhidden\\u202e")
    screen.draw([])
    assert.deepStrictEqual(terminal.text, ["red\\u001b[2J\\u001b]0;title\\u0007", "next"])
    assert.include(terminal.written, "\u001b[31mred\u001b[0m")
  })

  it("prints only lines without a terminal", () => {
    const terminal = new FakeTerminal({ columns: 40, rows: 10 })
    const screen = makeScreen(terminal, { isLive: false, hasColours: false })
    screen.draw(["never"])
    screen.printAbove("\u001b[31mred\u001b[0m")
    screen.clear()
    screen.leave()
    assert.strictEqual(terminal.written, "red\n")
  })

  it("does not hide the cursor again once the process is about to end", () => {
    const { screen, terminal } = make(40, 10)
    screen.draw(["a"])
    screen.leave()
    assert.isTrue(terminal.isCursorVisible)
    screen.draw(["b"])
    assert.isTrue(terminal.isCursorVisible)
  })

  it("erases its picture even if the terminal has written after it", () => {
    const { screen, terminal } = make(10, 10)
    screen.printAbove("first")
    screen.draw(["1234567", "1234567"])
    terminal.write("^C")
    screen.clear()
    assert.deepStrictEqual(terminal.text, ["first"])
  })

  it.prop(
    "never loses or corrupts a line, for any drawing, printing and resizing",
    [choices],
    ([choices]) => {
      const { screen, terminal } = make(choices.between(20, 60), choices.between(6, 20))
      const printed: Array<string> = []
      let picture: ReadonlyArray<string> = []
      for (let step = choices.between(1, 30); step > 0; step--) {
        switch (choices.below(4)) {
          case 0:
            printed.push(`printed ${printed.length}`)
            screen.printAbove(printed.at(-1)!)
            break
          case 1:
            terminal.resize({ columns: choices.between(15, 60), rows: terminal.rows })
            break
          default: {
            // The maximum height if the terminal becomes so narrow that lines take up to four rows.
            const { columns, rows } = terminal.size()
            picture = choices.list(Math.floor((rows - 1) / 4), (line) =>
              `${line} `.padEnd(choices.between(2, columns - 1), "x")
            )
            screen.draw(picture.map((line) => `\u001b[2m${line}\u001b[0m`))
          }
        }
        // A picture drawn for another width is wrapped until it is redrawn.
        screen.draw([])
        assert.deepStrictEqual(terminal.text, printed)
        picture = picture.map((line) => line.slice(0, terminal.columns - 1))
        screen.draw(picture)
        assert.deepStrictEqual(terminal.text, [...printed, ...picture.map((line) => line.trimEnd())])
        assert.strictEqual(terminal.isCursorVisible, picture.length === 0)
      }
    }
  )

  it.effect("listens to the exit of the process, and to signals only if others do", () =>
    Effect.gen(function* () {
      const events = ["exit", "SIGINT", "SIGTERM"] as const
      const counts = () => events.map((event) => process.listenerCount(event))
      const other = () => {}
      process.on("SIGINT", other)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.off("SIGINT", other)))
      const [exit, interrupts, terminations] = counts()
      const during = yield* Effect.provide(Effect.map(Screen, counts), Screen.layer)
      assert.deepStrictEqual(during, [exit! + 1, interrupts! + 1, terminations === 0 ? 0 : terminations! + 1])
      assert.deepStrictEqual(counts(), [exit, interrupts, terminations])
    })
  )

  const ends = [
    ["success", Effect.void],
    ["failure", Effect.fail("failure")],
    ["a mistake", Effect.die("mistake")],
    ["interruption", Effect.interrupt]
  ] as const
  it.effect.each(ends)("shows its cursor after %s", ([, end]) =>
    Effect.gen(function* () {
      const terminal = new FakeTerminal({ columns: 40, rows: 10 })
      const program = Effect.gen(function* () {
        const screen = yield* Screen
        screen.draw(["a picture"])
        assert.isFalse(terminal.isCursorVisible)
        yield* end
      })
      const exit = yield* Effect.exit(Effect.provide(program, Screen.layerOf(terminal, live)))
      assert.strictEqual(Exit.isSuccess(exit), end === Effect.void)
      assert.isTrue(terminal.isCursorVisible)
      assert.deepStrictEqual(terminal.text, [])
    })
  )
})
