/** Where the program keeps compiled code: its contents are executed, so no one else may be able to write there. */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as child from "../support/child.ts"
import * as connector from "../support/connector.ts"
import { dist, modulesAtStart } from "../support/programFiles.ts"
import { isRoot, STRANGER } from "./machine.ts"

/** Leaves only the cache that the program chooses itself. */
const noCache = {
  HOME: undefined,
  XDG_CACHE_HOME: undefined,
  NODE_COMPILE_CACHE: undefined,
  NODE_DISABLE_COMPILE_CACHE: undefined
}

const spec = (env: child.ChildOptions["env"], script?: string) =>
  child.run(["spec"], { env: { ...noCache, ...env }, ...(script === undefined ? {} : { script }) })

/** Asserts that the program starts, and prints nothing about its cache. */
const assertStarts = ({ code, messages, stderr }: child.ChildResult): void =>
  assert.deepStrictEqual([code, stderr, messages.map(({ type }) => type)], [0, "", ["SPEC"]])

const folder = (path: string, mode: number): string => {
  mkdirSync(path, { recursive: true })
  chmodSync(path, mode)
  return path
}

const files = (path: string): ReadonlyArray<string> =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name, parentPath }) => join(parentPath, name))

const ours = (base: string): string => join(base, "source-prometheus")

describe("the compile cache", () => {
  it.live("is a folder of the user's own that no one else can enter", () =>
    Effect.gen(function* () {
      const { path } = yield* connector.workspace
      const home = folder(path("home"), 0o755)
      assertStarts(yield* spec({ HOME: home }))
      const cache = ours(join(home, ".cache"))
      for (const made of [cache, join(home, ".cache")]) assert.strictEqual(statSync(made).mode & 0o777, 0o700)
      assert.isNotEmpty(files(cache))
      const written = files(cache).map((file) => [file, statSync(file).mtimeMs])
      assertStarts(yield* spec({ HOME: home }))
      // The existing files are used, not written again.
      assert.deepStrictEqual(
        files(cache).map((file) => [file, statSync(file).mtimeMs]),
        written
      )
    })
  )

  it.live("is in XDG_CACHE_HOME, if that is an absolute path", () =>
    Effect.gen(function* () {
      const { path } = yield* connector.workspace
      const home = folder(path("home"), 0o755)
      const base = path("caches")
      assertStarts(yield* spec({ HOME: home, XDG_CACHE_HOME: base }))
      assert.isNotEmpty(files(ours(base)))
      assert.deepStrictEqual(readdirSync(home), [])
      assertStarts(yield* spec({ HOME: home, XDG_CACHE_HOME: "caches" }))
      assert.isNotEmpty(files(ours(join(home, ".cache"))))
    })
  )

  it.live("may be behind the user's own symbolic link", () =>
    Effect.gen(function* () {
      const { path } = yield* connector.workspace
      const home = folder(path("home"), 0o755)
      symlinkSync(folder(path("elsewhere"), 0o755), join(home, ".cache"))
      assertStarts(yield* spec({ HOME: home }))
      assert.isNotEmpty(files(ours(path("elsewhere"))))
    })
  )

  for (const decision of ["NODE_COMPILE_CACHE", "NODE_DISABLE_COMPILE_CACHE"]) {
    it.live(`is left to Node if ${decision} is set`, () =>
      Effect.gen(function* () {
        const { path } = yield* connector.workspace
        const home = folder(path("home"), 0o755)
        assertStarts(yield* spec({ HOME: home, [decision]: path("chosen") }))
        assert.deepStrictEqual(readdirSync(home), [])
        assert.strictEqual(existsSync(path("chosen")), decision === "NODE_COMPILE_CACHE")
      })
    )
  }

  it.live("is silently disabled if there is no place for it", () =>
    Effect.gen(function* () {
      const { path, write } = yield* connector.workspace
      const before = existsSync("/.cache")
      const homes = [undefined, "", "/", "//", "/proc", "relative", path("missing"), write("file", "")]
      for (const HOME of homes) assertStarts(yield* spec({ HOME }))
      assert.strictEqual(existsSync("/.cache"), before)
      const home = folder(path("home"), 0o755)
      writeFileSync(join(home, ".cache"), "")
      assertStarts(yield* spec({ HOME: home }))
      symlinkSync(path("missing"), path("dangling"))
      assertStarts(yield* spec({ HOME: home, XDG_CACHE_HOME: path("dangling") }))
    })
  )
})

/** Where a file of Node's cache stores the size of the source, and its CRC. */
const SOURCE_SIZE = 4
const SOURCE_CHECK = 12

/**
 * A program, and a folder of foreign compiled code that Node accepts as the program's. Node compares the source's size and
 * CRC, which are public; V8 compares its length.
 */
const poison = Effect.fnUntraced(function* ({ path }: connector.Workspace) {
  const program = folder(path("program"), 0o755)
  const main = join(program, "main.mjs")
  const script = join(program, "source-prometheus.js")
  copyFileSync(join(dist, "source-prometheus.js"), script)
  for (const name of modulesAtStart()) copyFileSync(join(dist, name), join(program, name))
  const source = readFileSync(join(dist, "main.mjs"), "utf8")
  const evil = 'process.stdout.write("evil")'.padEnd(source.length)

  const cacheOf = Effect.fnUntraced(function* (content: string, cache: string) {
    writeFileSync(main, content)
    yield* child.run(["spec"], { script, env: { ...noCache, NODE_COMPILE_CACHE: cache } })
    const size = Buffer.byteLength(content)
    const found = files(cache).map((file) => ({ file, bytes: readFileSync(file) }))
    return found.find(({ bytes }) => bytes.readUInt32LE(SOURCE_SIZE) === size)!
  })
  const forged = yield* cacheOf(evil, path("evil"))
  const genuine = yield* cacheOf(source, path("genuine"))
  for (const at of [SOURCE_SIZE, SOURCE_CHECK]) genuine.bytes.copy(forged.bytes, at, at, at + 4)
  writeFileSync(forged.file, forged.bytes)
  // The forged code must run here, or the test would show nothing.
  const trusting = yield* child.run(["spec"], {
    script,
    env: { ...noCache, NODE_COMPILE_CACHE: path("evil") }
  })
  assert.strictEqual(trusting.stdout, "evil")

  const plant = (at: string): void => {
    for (const file of files(path("evil"))) {
      const target = join(at, file.slice(path("evil").length))
      mkdirSync(dirname(target), { recursive: true })
      copyFileSync(file, target)
    }
  }
  return { script, plant }
})

describe("code that was compiled by another user", () => {
  it.live("is not run from a temporary folder", () =>
    Effect.gen(function* () {
      const workspace = yield* connector.workspace
      const { plant, script } = yield* poison(workspace)
      const shared = folder(workspace.path("shared"), 0o1777)
      plant(join(shared, "node-compile-cache"))
      for (const HOME of [undefined, folder(workspace.path("home"), 0o755)]) {
        assertStarts(yield* spec({ HOME, TMPDIR: shared }, script))
      }
    })
  )

  /** Cache folders in which another user may have placed code, or could place some at any time. */
  const places: Readonly<Record<string, (home: string, cache: string) => void>> = {
    "that others may write to": (_, cache) => chmodSync(cache, 0o777),
    "that its group may write to": (_, cache) => chmodSync(cache, 0o770),
    "that others may enter": (_, cache) => chmodSync(cache, 0o701),
    "that others may swap": (home) => chmodSync(join(home, ".cache"), 0o777),
    "that its group may swap": (home) => chmodSync(join(home, ".cache"), 0o775),
    "whose parent others may swap": (home) => chmodSync(home, 0o777),
    "that others may rename in": (home) => chmodSync(dirname(home), 0o777)
  }
  const placesOfOthers: Readonly<Record<string, (home: string, cache: string) => void>> = {
    "that another user owns": (_, cache) => chownSync(cache, STRANGER, STRANGER),
    "in a cache that another user owns": (home) => chownSync(join(home, ".cache"), STRANGER, STRANGER),
    // As with sudo, which keeps HOME.
    "in the home of another user": (home) => chownSync(home, STRANGER, STRANGER)
  }

  const tryPlaces = (name: string, spoil: (home: string, cache: string) => void) =>
    it.live(`is not run from a folder ${name}`, () =>
      Effect.gen(function* () {
        const workspace = yield* connector.workspace
        const { plant, script } = yield* poison(workspace)
        const home = folder(workspace.path("homes/mine"), 0o755)
        const cache = folder(ours(join(home, ".cache")), 0o700)
        plant(cache)
        assert.strictEqual(
          (yield* child.run(["spec"], { script, env: { ...noCache, HOME: home } })).stdout,
          "evil"
        )
        spoil(home, cache)
        const before = files(cache).map((file) => [file, lstatSync(file).mtimeMs])
        assertStarts(yield* spec({ HOME: home }, script))
        assert.deepStrictEqual(
          files(cache).map((file) => [file, lstatSync(file).mtimeMs]),
          before
        )
      })
    )

  for (const [name, spoil] of Object.entries(places)) tryPlaces(name, spoil)

  it.live("is not run from a folder behind a symbolic link in place of ours", () =>
    Effect.gen(function* () {
      const workspace = yield* connector.workspace
      const { plant, script } = yield* poison(workspace)
      const home = folder(workspace.path("home"), 0o755)
      plant(folder(workspace.path("theirs"), 0o700))
      symlinkSync(workspace.path("theirs"), ours(folder(join(home, ".cache"), 0o700)))
      assertStarts(yield* spec({ HOME: home }, script))
    })
  )

  describe.runIf(isRoot)("as another user", () => {
    for (const [name, spoil] of Object.entries(placesOfOthers)) tryPlaces(name, spoil)

    it.live("leaves nothing in another user's home that has no cache yet", () =>
      Effect.gen(function* () {
        const { path } = yield* connector.workspace
        const home = folder(path("home"), 0o755)
        chownSync(home, STRANGER, STRANGER)
        assertStarts(yield* spec({ HOME: home }))
        assert.deepStrictEqual(readdirSync(home), [])
      })
    )
  })
})
