/** The report in a browser: its content, that it sends no requests, and its layout in small windows. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import puppeteer, { type Browser } from "puppeteer-core"
import { reportHtml } from "../../src/report/html/reportHtml.ts"
import type { RunSummary } from "../../src/run/Progress.ts"
import { curveOf, failedStream, runOf, streamOf } from "../report/summaries.ts"
import { findChromium } from "../support/binaries.ts"

const browser: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () =>
    puppeteer.launch({
      executablePath: await findChromium(),
      // Chromium has no sandbox as root, and a container has little shared memory.
      args: ["--no-sandbox", "--disable-dev-shm-usage"]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)

const bad = `</script><img src=x onerror="alert('1')"> 温度 🚀`

const wave = (length: number, phase: number): ReadonlyArray<number> =>
  Array.from({ length }, (_, i) => (i > 100 && i < 140 ? NaN : 50 + 40 * Math.sin(i / 20 + phase)))

const run = runOf([
  streamOf("http_requests_total", {
    curves: [0, 1, 2, 3].map((phase) =>
      curveOf(wave(300, phase), `{instance="host-${phase}:9090", job="api"}`)
    )
  }),
  streamOf(bad, { curves: [curveOf(wave(300, 1), `{path="${bad}", long="${"x".repeat(200)}"}`)] }),
  streamOf("constant", { curves: [curveOf([1, 1, 1, 1, 1])] }),
  streamOf("huge", { curves: [curveOf([1e300, 2e300, -1e300])] }),
  streamOf("nothing_finite", { curves: [curveOf([NaN, NaN, Infinity])] }),
  failedStream("gone", "http://localhost:9090 returned HTTP 503. Try again later.")
])

interface Opening {
  readonly width?: number
  readonly height?: number
  readonly scheme?: "light" | "dark"
}

/** Opens a report from a file, like a user. */
const open = Effect.fnUntraced(function* (
  run: RunSummary,
  { height = 900, scheme = "light", width = 1200 }: Opening = {}
) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "report-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const path = join(folder, "report.html")
  writeFileSync(path, reportHtml(run))
  const page = yield* Effect.flatMap(browser, (browser) => Effect.promise(() => browser.newPage()))
  const requests: Array<string> = []
  const problems: Array<string> = []
  page.on("request", (request) => requests.push(request.url()))
  page.on("console", (message) => problems.push(message.text()))
  page.on("pageerror", (error) => problems.push(String(error)))
  page.on("dialog", (dialog) => {
    problems.push(`It says ${dialog.message()}.`)
    void dialog.dismiss()
  })
  const address = pathToFileURL(path).href
  yield* Effect.promise(async () => {
    await page.setViewport({ width, height })
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }])
    await page.goto(address)
  })
  const ask = <A>(script: string) => Effect.promise(() => page.evaluate(script) as Promise<A>)
  /** Waits until a condition is true in the page. */
  const until = (condition: string) => Effect.promise(() => page.waitForFunction(condition))
  /** Scrolls to the end in small steps, like a reader. */
  const readAll = ask<void>(`(async () => {
    for (let y = 0; y < document.documentElement.scrollHeight; y += 300) {
      scrollTo(0, y)
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
    }
  })()`)
  return { address, ask, page, problems, readAll, requests, until }
})

/** For each chart, the number of pixels in the colour of its first line. */
const inkOfCharts = `Array.from(document.querySelectorAll(".chart canvas"), (canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
  const wanted = getComputedStyle(document.documentElement).getPropertyValue("--line-0").trim()
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16))
  let count = 0
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 200 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 24) count++
  return count
})`

const background = `getComputedStyle(document.body).backgroundColor`

describe("a report in a browser", () => {
  for (const scheme of ["light", "dark"] as const) {
    it.live(`draws its charts without network requests, in ${scheme} colours`, () =>
      Effect.gen(function* () {
        const { address, ask, problems, readAll, requests, until } = yield* open(run, { scheme })
        yield* readAll
        yield* until(`document.querySelectorAll(".chart canvas").length === 5`)
        const ink = yield* ask<ReadonlyArray<number>>(inkOfCharts)
        for (const count of ink.slice(0, 4)) assert.isAbove(count, 100)
        // This chart has no value that can be drawn.
        assert.strictEqual(ink[4], 0)
        assert.strictEqual(
          yield* ask(background),
          scheme === "light" ? "rgb(255, 255, 255)" : "rgb(20, 23, 28)"
        )
        assert.deepStrictEqual(requests, [address])
        assert.deepStrictEqual(problems, [])
      })
    )
  }

  it.live("redraws its charts when the colour scheme changes", () =>
    Effect.gen(function* () {
      const { ask, page, until } = yield* open(run)
      yield* until(`document.querySelectorAll(".chart canvas").length > 0`)
      assert.isAbove((yield* ask<ReadonlyArray<number>>(inkOfCharts))[0]!, 100)
      yield* Effect.promise(() =>
        page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }])
      )
      yield* until(`${inkOfCharts}[0] > 100`)
      assert.strictEqual(yield* ask(background), "rgb(20, 23, 28)")
    })
  )

  it.live("shows foreign markup as text", () =>
    Effect.gen(function* () {
      const { ask } = yield* open(run)
      assert.strictEqual(yield* ask(`document.querySelector("#s1 h3").textContent`), bad)
      assert.strictEqual(
        yield* ask(`document.querySelector("#s1 .legend code").textContent`),
        `{path="${bad}", long="${"x".repeat(200)}"}`
      )
      assert.strictEqual(yield* ask(`document.querySelectorAll("img").length`), 0)
    })
  )

  for (const width of [320, 390, 1200]) {
    it.live(`is not wider than a window of ${width} pixels, even after it is resized`, () =>
      Effect.gen(function* () {
        const { ask, page, problems, readAll, until } = yield* open(run, { width, height: 800 })
        yield* readAll
        assert.isAtMost(yield* ask<number>("document.documentElement.scrollWidth"), width)
        yield* Effect.promise(() => page.setViewport({ width: width - 60, height: 800 }))
        yield* until(
          `Array.from(document.querySelectorAll(".chart")).every((chart) => chart.scrollWidth <= chart.clientWidth)`
        )
        assert.isAtMost(yield* ask<number>("document.documentElement.scrollWidth"), width - 60)
        assert.deepStrictEqual(problems, [])
      })
    )
  }

  it.live("shows the values at the pointer", () =>
    Effect.gen(function* () {
      const { ask, page, until } = yield* open(run)
      yield* until(`document.querySelector("#s0 canvas") !== null`)
      yield* ask(`document.querySelector("#s0").scrollIntoView()`)
      const [x, y] = yield* ask<readonly [number, number]>(
        `(() => { const { x, y, width, height } = document.querySelector("#s0 .u-over").getBoundingClientRect(); return [x + width * 0.75, y + height / 2] })()`
      )
      yield* Effect.promise(() => page.mouse.move(x, y))
      yield* until(`/^2026-01-01 03:4\\d:00$/.test(document.querySelector("#s0 .at-time").textContent)`)
      const values = yield* ask<ReadonlyArray<string>>(
        `Array.from(document.querySelectorAll("#s0 td.at"), (cell) => cell.textContent)`
      )
      assert.lengthOf(values, 4)
      for (const value of values) assert.match(value, /^\d+(\.\d+)?$/)
    })
  )

  it.live("draws only visible charts if there are hundreds of streams, and filters streams by name", () =>
    Effect.gen(function* () {
      const many = runOf(
        Array.from({ length: 400 }, (_, i) => streamOf(`stream_${i}`, { curves: [curveOf(wave(200, i))] }))
      )
      const { ask, page, problems, until } = yield* open(many)
      assert.strictEqual(yield* ask(`document.querySelectorAll("canvas").length`), 0)
      yield* Effect.promise(() => page.type("#filter", "Stream_399"))
      assert.strictEqual(yield* ask(`document.querySelector("output").textContent`), "1 of 400")
      yield* Effect.promise(() => page.click('tr[data-stream="399"] a'))
      yield* until(`${inkOfCharts}[0] > 100`)
      assert.strictEqual(yield* ask(`document.querySelectorAll("canvas").length`), 1)
      assert.isTrue(yield* ask<boolean>(`document.querySelector("#s399").open`))
      assert.deepStrictEqual(problems, [])
    })
  )
})
