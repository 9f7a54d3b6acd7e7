/**
 * Creates the pictures of README in docs/pictures: terminals with real runs, and the report of a run.
 *
 * Needs tmux, Chromium, and the built program. Values and times depend on the current day.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, type Scope } from "effect"
import puppeteer from "puppeteer-core"
import type { Faults } from "../src/mock/faults.ts"
import { generate } from "../src/mock/generate.ts"
import { MockPrometheus } from "../src/mock/MockPrometheus.ts"
import * as MockServer from "../src/mock/MockServer.ts"
import { ensureChromium } from "../test/support/binaries.ts"
import { linkProject } from "../test/support/linkedProject.ts"
import { terminalSvg } from "./terminalSvg.ts"

const folder = "docs/pictures"

/** Larger pictures would make the page load slowly. */
const MAX_BYTES = 200_000

const save = (name: string, content: string | Uint8Array): void => {
  const path = join(folder, name)
  writeFileSync(path, content)
  const { size } = statSync(path)
  if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MAX_BYTES}.`)
  console.log(`${path}: ${size} bytes`)
}

/** The cache where npx records each folder in which it was called. */
const cache = join(tmpdir(), `source-prometheus-pictures-${process.pid}`)

/** A folder that looks like a clone, for one picture. */
const project: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "source-prometheus-picture-"))
    linkProject(path)
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** The width of all terminals. */
const columns = 118

/** Opens a terminal with a shell in a folder, on a separate tmux server. */
const openTerminal = Effect.fnUntraced(function* (cwd: string, rows: number) {
  const socket = `pictures-${process.pid}-${rows}`
  const tmux = (...args: ReadonlyArray<string>): string =>
    execFileSync("tmux", ["-L", socket, "-f", "/dev/null", "-u", ...args], { encoding: "utf8" })
  const environment = [
    "PS1=$ ",
    "TERM=tmux-256color",
    "LANG=C.UTF-8",
    `PATH=${process.env.PATH}`,
    `npm_config_cache=${cache}`
  ]
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      tmux(
        ...["new-session", "-d", "-s", "main", "-x", `${columns}`, "-y", `${rows}`, "-c", cwd],
        ...["env", ...environment, "bash", "--norc", "--noprofile"],
        ...[";", "set", "-g", "status", "off"]
      )
    ),
    () => Effect.sync(() => tmux("kill-server"))
  )
  const capture = (): ReadonlyArray<string> =>
    tmux("capture-pane", "-p", "-e", "-t", "main").trimEnd().split("\n")
  return {
    type: (text: string) => Effect.sync(() => tmux("send-keys", "-t", "main", text, "Enter")),
    /** Waits until the terminal shows the expected text. Returns its lines. */
    until: Effect.fnUntraced(function* (isWanted: (text: string) => boolean) {
      for (let tries = 0; tries < 1200; tries++) {
        const lines = capture()
        if (isWanted(lines.join("\n").replace(/\u001b\[[\d;]*m/g, ""))) return lines
        yield* Effect.sleep("25 millis")
      }
      return yield* Effect.die(
        new Error(`The terminal never showed what was wanted:\n${capture().join("\n")}`)
      )
    })
  }
})

const isPrompt = (text: string): boolean => text.endsWith("$") || text.endsWith("$ ")

/** `npm start`, from the command to the prompt after it. */
const pictureOfStart = Effect.gen(function* () {
  const { type, until } = yield* openTerminal(yield* project, 50)
  yield* until(isPrompt)
  yield* type("npm start")
  const lines = yield* until((text) => text.includes("Query it:") && isPrompt(text))
  save(
    "start.svg",
    terminalSvg(lines, { columns, title: "npm start reads the embedded demo into demo.duckdb" })
  )
}).pipe(Effect.scoped)

/** A longer run midway, from a slow server. */
const pictureOfRun = Effect.gen(function* () {
  const faults: Faults = ({ params, path }) =>
    path.endsWith("/query_range") ? { delayMillis: 200 + 10 * (params.get("query") ?? "").length } : undefined
  const mock = new MockPrometheus(generate({ endMillis: Date.UTC(2026, 0, 29), hours: 28 * 24 }), { faults })
  const { baseUrl } = yield* MockServer.make(mock)
  const { type, until } = yield* openTerminal(yield* project, 16)
  yield* until(isPrompt)
  yield* type(`npx source-prometheus run --url ${baseUrl} --start 2026-01-01 --end 2026-01-29 --step 1m`)
  const lines = yield* until((text) => {
    const names = text.match(/(?<=^(?:✓ )?)[a-z]\w+(?= {2})/gm) ?? []
    const underWay = text.match(/━─.* [1-9]\d % /g) ?? []
    // Between two frames a stream may be visible twice: as complete, and as in progress.
    const isWhole = new Set(names).size === names.length && !text.includes("…")
    return isWhole && text.includes("✓ http") && underWay.length >= 4 && text.includes(" left")
  })
  const title =
    "A run in the middle: the streams that are read, how far they are, and how long it is going to take"
  save("run.svg", terminalSvg(lines, { columns, title }))
}).pipe(Effect.scoped)

/** The report of a demo run, in a light and a dark colour scheme. */
const picturesOfReport = Effect.gen(function* () {
  const cwd = yield* project
  const select = ["http_requests_total", "node_*"]
  const flags = select.flatMap((pattern) => ["--select", pattern])
  execFileSync("npx", ["source-prometheus", "run", "--demo", "--report", "report.html", ...flags], {
    cwd,
    env: { ...process.env, npm_config_cache: cache },
    stdio: ["ignore", "ignore", "inherit"]
  })
  const executablePath = yield* Effect.promise(() => ensureChromium())
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() =>
      puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] })
    ),
    (browser) => Effect.promise(() => browser.close())
  )
  for (const scheme of ["light", "dark"] as const) {
    const picture = yield* Effect.promise(async () => {
      const page = await browser.newPage()
      await page.setViewport({ width: 1080, height: 1030, deviceScaleFactor: 1.3 })
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }])
      await page.goto(pathToFileURL(join(cwd, "report.html")).href)
      await page.waitForFunction(`document.querySelectorAll(".chart canvas").length > 0`)
      return page.screenshot({ type: "png" })
    })
    save(`report-${scheme}.png`, picture)
  }
}).pipe(Effect.scoped)

mkdirSync(folder, { recursive: true })
NodeRuntime.runMain(
  Effect.andThen(Effect.andThen(pictureOfStart, pictureOfRun), picturesOfReport).pipe(
    Effect.ensuring(Effect.sync(() => rmSync(cache, { recursive: true, force: true })))
  )
)
