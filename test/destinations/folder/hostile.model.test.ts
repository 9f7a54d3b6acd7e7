/** Folders that someone has tampered with: the program changes no files but its own. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination, type SyncMode, syncModes } from "../../../src/destinations/Destination.ts"
import { fileName } from "../../../src/destinations/folder/fileName.ts"
import * as JsonLinesFolder from "../../../src/destinations/jsonl/JsonLinesFolder.ts"
import * as ParquetFolder from "../../../src/destinations/parquet/ParquetFolder.ts"
import { StreamState } from "../../../src/sync/StreamState.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { type Choices, choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { floats, loadedTime, openToResume, seriesOf, start, temporaryFolder } from "../drive.ts"

const source = "http://mock"
const layers = {
  jsonl: (folder: string, readOnly = false) =>
    JsonLinesFolder.layer({ path: folder, source, labelColumns: true, gzip: false, readOnly }),
  gzip: (folder: string, readOnly = false) =>
    JsonLinesFolder.layer({ path: folder, source, labelColumns: true, gzip: true, readOnly }),
  parquet: (folder: string, readOnly = false) =>
    ParquetFolder.layer({ path: folder, source, labelColumns: true, readOnly })
}
type Kind = keyof typeof layers
const kinds = Object.keys(layers) as ReadonlyArray<Kind>

const stateAt = (point: number, isRefresh = false) =>
  new StreamState({
    time: formatTime(start + point * 60_000),
    step: 60,
    version: 1,
    ...(isRefresh ? { full_refresh: true as const } : {})
  })

const use = <A, E>(kind: Kind, folder: string, body: Effect.Effect<A, E, Destination>, readOnly = false) =>
  body.pipe(Effect.provide(layers[kind](folder, readOnly)), Effect.provide(NodeServices.layer))

/** Writes a point of a stream, and completes it or not. */
const put = (stream: string, mode: SyncMode, point: number, isComplete = true) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* openToResume(stream, mode)
      yield* writer.write([floats(seriesOf(stream, { job: "a" }), [[start + point * 60_000, `${point}`]])])
      yield* writer.commit(stateAt(point, mode.startsWith("full")))
      if (isComplete) yield* writer.complete
    })
  )

const rowsOf = (stream: string) =>
  Effect.flatMap(Destination, ({ contents }) => Effect.map(contents(stream, "current"), ({ rows }) => rows))

/** The contents of a folder, with attributes that show any change. */
const treeOf = (folder: string, isWanted: (path: string) => boolean = () => true): unknown => {
  const tree: Record<string, unknown> = {}
  const visit = (path: string) => {
    const info = lstatSync(join(folder, path))
    if (path !== "" && isWanted(path)) {
      const content = info.isSymbolicLink()
        ? readlinkSync(join(folder, path))
        : info.isFile()
          ? readFileSync(join(folder, path), "base64")
          : ""
      tree[path] = [info.ino, info.mode, info.isDirectory() ? 0 : info.mtimeMs, content]
    }
    if (info.isDirectory()) for (const name of readdirSync(join(folder, path))) visit(join(path, name))
  }
  visit("")
  return tree
}

/** The same with the times of folders, which change with their contents. */
const exactTreeOf = (folder: string): unknown => [
  treeOf(folder),
  readdirSync(folder, { recursive: true })
    .map((path) => [`${path}`, lstatSync(join(folder, `${path}`)).mtimeMs])
    .sort(),
  lstatSync(folder).mtimeMs
]

const ending = { jsonl: ".jsonl", gzip: ".jsonl.gz", parquet: "" } as const

/** Values that no state has, and undefined. */
const evil = (choices: Choices, value: unknown): unknown =>
  typeof value === "number" && !choices.oneIn(3)
    ? choices.pick([0, -1, 1, 1.5, 2 ** 53, 1e300, value + 1, Math.max(0, value - 1)])
    : choices.pick<unknown>([
        "../../outside",
        "../outside/file",
        "..",
        ".",
        "/",
        "",
        "../notes.txt",
        "notes.txt",
        "_state/_new/../../notes.txt",
        "../../../notes.txt",
        "up.1.jsonl/../../../notes.txt",
        "x\0y",
        "2026-01-01/../../../outside",
        "notes",
        null,
        [],
        {},
        true,
        "up.2.jsonl",
        "2026-02-31",
        "a".repeat(5000)
      ])

/** A copy in which one value is replaced or added. */
const tampered = (choices: Choices, json: unknown): unknown => {
  if (choices.oneIn(6) || json === null || typeof json !== "object") return evil(choices, json)
  if (Array.isArray(json)) {
    const at = choices.below(json.length + 1)
    return at === json.length ? [...json, evil(choices, null)] : json.with(at, tampered(choices, json[at]))
  }
  const members: Record<string, unknown> = { ...json }
  const key = choices.pick(Object.keys(members))
  members[key] = tampered(choices, members[key])
  return members
}

/** A valid state, except that the files it names are outside of the folder. */
const misled = (choices: Choices, kind: Kind, state: object): object => {
  const up = kind === "parquet" ? "../" : "../../../"
  const path = `${choices.pick(["", "up.1.jsonl/../", "./"])}${up}${choices.pick(["notes.txt", "outside", "outside/file", "data/notes.txt"])}`
  const rows = { bytes: choices.pick([0, 1, 8]), rows: 1, firstMillis: start, lastMillis: start }
  const refreshState = choices.oneIn(2) ? {} : { refreshState: { ...stateAt(1, true) } }
  if (kind !== "parquet") {
    return {
      ...state,
      ...refreshState,
      ...(choices.oneIn(2) ? { replacedBy: path } : { next: { file: path, ...rows } })
    }
  }
  const part = (number: number) => ({
    day: choices.pick(["2026-01-01", `x/../../${path}`, `2026-01-01/../../../../${path}/x`]),
    part: number,
    ...rows,
    ...(choices.oneIn(3) ? {} : { from: path })
  })
  return {
    ...state,
    ...refreshState,
    nextPart: 9,
    ...choices.pick([
      { files: [part(1), part(2)] },
      { next: { files: [part(3)] } },
      { removed: [part(4), part(5)] },
      { isReplaced: true as const, removed: [part(6)] }
    ])
  }
}

for (const kind of kinds) {
  describe(kind, () => {
    it.effect.prop(
      "changes no files but its own, whatever its states contain",
      [choices],
      ([choices]) =>
        Effect.gen(function* () {
          const parent = yield* temporaryFolder
          const folder = join(parent, "data")
          mkdirSync(join(parent, "outside"))
          writeFileSync(join(parent, "outside", "file"), "outside\n")
          writeFileSync(join(parent, "notes.txt"), "of the parent\n")
          yield* use(kind, folder, put("up", "incremental_append", 0))
          if (choices.oneIn(2)) {
            const mode = choices.oneIn(2) ? "full_refresh_overwrite" : "full_refresh_append"
            yield* use(kind, folder, put("up", mode, 1, false))
          }
          // Foreign files in the folder. One has the name of a stream's file.
          writeFileSync(join(folder, "notes.txt"), "of the folder\n")
          const notes = join(folder, `notes${ending[kind]}`)
          if (kind === "parquet") mkdirSync(notes)
          writeFileSync(kind === "parquet" ? join(notes, "file") : notes, "foreign\n")
          const statePath = join(folder, "_state", "up.json")
          const text = readFileSync(statePath, "utf8")
          const state = JSON.parse(text) as object
          const changed = (state: object) =>
            choices.oneIn(2) ? tampered(choices, state) : misled(choices, kind, state)
          const isOurs = (path: string): boolean => /^data\/(_state|up(\..*|\/.*)?$)/.test(path)
          const notOurs = () => treeOf(parent, (path) => !isOurs(path))
          const before = notOurs()
          writeFileSync(statePath, JSON.stringify(changed(state)))
          writeFileSync(
            join(folder, "_state", "notes.json"),
            JSON.stringify(changed(JSON.parse(text.replaceAll("up", "notes")) as object))
          )
          if (kind === "parquet" && choices.oneIn(2)) {
            mkdirSync(join(folder, "_state", "_new", "notes"), { recursive: true })
          } else if (choices.oneIn(2)) {
            writeFileSync(join(folder, "_state", "_new", `notes.1${ending[kind]}`), "foreign\n")
          }
          const complete = exactTreeOf(parent)
          yield* Effect.exit(use(kind, folder, loadedTime("incremental_append", "up"), true))
          assert.deepStrictEqual(exactTreeOf(parent), complete)
          for (const stream of ["up", "notes"]) {
            yield* Effect.exit(use(kind, folder, put(stream, choices.pick(syncModes), 2, choices.oneIn(2))))
            assert.deepStrictEqual(notOurs(), before)
          }
        }).pipe(Effect.scoped),
      { timeout: 240_000, arbitrary: { runs: runs(4, 60) } }
    )

    it.live("writes streams of any name inside of its folder", () =>
      Effect.gen(function* () {
        const parent = yield* temporaryFolder
        const folder = join(parent, "a", "data")
        const names = [
          "..",
          ".",
          "",
          "/etc/passwd",
          "a/../../b",
          "a\0b",
          "x".repeat(3000),
          "-rf",
          "con",
          "\ud800"
        ]
        const all = [
          ...names,
          "_state",
          "_new",
          "~",
          "%2e",
          "a\nb",
          "\u202e",
          "é".repeat(200),
          "up.json",
          "_lock.1"
        ]
        const write = (mode: SyncMode, point: number) =>
          use(
            kind,
            folder,
            Effect.forEach(all, (stream) => put(stream, mode, point))
          )
        yield* write("incremental_append", 0)
        if (kind === "parquet") yield* write("incremental_append_deduped", 0)
        yield* write("full_refresh_append", 1)
        const counts = yield* use(kind, folder, Effect.forEach(all, rowsOf))
        assert.deepStrictEqual(
          counts,
          all.map(() => 2)
        )
        yield* write("full_refresh_overwrite", 2)
        assert.deepStrictEqual(
          yield* use(
            kind,
            folder,
            Effect.forEach(all, (stream) => loadedTime("incremental_append", stream))
          ),
          all.map(() => stateAt(2).time)
        )
        assert.deepStrictEqual(readdirSync(parent), ["a"])
        assert.deepStrictEqual(readdirSync(join(parent, "a")), ["data"])
        assert.sameMembers(
          readdirSync(folder).filter((name) => name !== "_state"),
          all.map((stream) => `${fileName(stream)}${ending[kind]}`)
        )
      })
    )

    it.live("changes nothing when it is opened for reading, even after a killed run", () =>
      Effect.gen(function* () {
        const parent = yield* temporaryFolder
        const folder = join(parent, "data")
        const look = (stream: string) =>
          use(kind, folder, Effect.all([loadedTime("incremental_append", stream), rowsOf(stream)]), true)
        assert.deepStrictEqual(yield* look("up"), [undefined, 0])
        assert.deepStrictEqual(readdirSync(parent), [])
        mkdirSync(folder)
        assert.deepStrictEqual(yield* look("up"), [undefined, 0])
        assert.deepStrictEqual(readdirSync(folder), [])
        yield* use(kind, folder, put("up", "incremental_append", 3))
        yield* use(kind, folder, put("up", "full_refresh_overwrite", 1, false))
        writeFileSync(join(folder, "_state", "_new", "left"), "by a killed run")
        if (kind !== "parquet") writeFileSync(join(folder, `up${ending[kind]}`), "and more", { flag: "a" })
        const before = exactTreeOf(parent)
        assert.deepStrictEqual(yield* look("up"), [stateAt(3).time, 1])
        assert.deepStrictEqual(yield* look("other"), [undefined, 0])
        const error = yield* Effect.flip(use(kind, folder, put("up", "incremental_append", 4), true))
        assert.match(error.message, /is open for reading only/)
        assert.deepStrictEqual(exactTreeOf(parent), before)
        writeFileSync(join(parent, "file"), "")
        const refused = yield* Effect.flip(use(kind, join(parent, "file"), loadedTime(), true))
        assert.match(refused.message, /file cannot be read: it is a file, not a folder/)
      })
    )

    it.live("leaves nothing behind if it is refused or wrote nothing", () =>
      Effect.gen(function* () {
        const parent = yield* temporaryFolder
        const folder = join(parent, "a", "data")
        yield* use(kind, folder, Effect.void)
        assert.deepStrictEqual(readdirSync(parent), [])
        mkdirSync(folder, { recursive: true })
        const theirs = join(folder, kind === "parquet" ? "up" : `up${ending[kind]}`)
        if (kind === "parquet") mkdirSync(theirs)
        writeFileSync(kind === "parquet" ? join(theirs, "file") : theirs, "foreign")
        for (const mode of syncModes) {
          const before = treeOf(parent)
          const error = yield* Effect.flip(use(kind, folder, put("up", mode, 0)))
          assert.match(error.message, /up(\.jsonl|\.jsonl\.gz)? has data, but there is no state/)
          assert.notProperty(error, "isFatal")
          assert.deepStrictEqual(treeOf(parent), before)
        }
        // A folder with the name of the folder of states, and unknown states in it.
        mkdirSync(join(folder, "_state"))
        writeFileSync(join(folder, "_state", "x.json"), "{}")
        const before = exactTreeOf(parent)
        assert.match(
          (yield* Effect.flip(use(kind, folder, put("up", "incremental_append", 0)))).message,
          /_about\.json is missing/
        )
        assert.deepStrictEqual(exactTreeOf(parent), before)
      })
    )

    it.live("follows no link that someone planted at the paths that it writes", () =>
      Effect.gen(function* () {
        const parent = yield* temporaryFolder
        const outside = join(parent, "outside")
        mkdirSync(outside)
        const target = join(outside, "file")
        writeFileSync(target, "precious")
        const fresh = (name: string) => {
          const folder = join(parent, name)
          return Effect.as(use(kind, folder, put("up", "incremental_append", 0)), folder)
        }
        const message = (folder: string, mode: SyncMode = "incremental_append") =>
          Effect.map(Effect.flip(use(kind, folder, put("up", mode, 1))), ({ message }) => message)
        /** Replaces a file by a link. */
        const plant = (path: string, to: string) => {
          rmSync(path, { recursive: true, force: true })
          symlinkSync(to, path)
        }
        const untouched = () => {
          assert.strictEqual(readFileSync(target, "utf8"), "precious")
          assert.deepStrictEqual(readdirSync(outside), ["file"])
        }

        const a = yield* fresh("a")
        renameSync(join(a, "_state"), join(parent, "state"))
        symlinkSync(join(parent, "state"), join(a, "_state"))
        assert.match(yield* message(a), /_state is a symbolic link, and the states of/)
        const b = yield* fresh("b")
        plant(join(b, "_state", "_new"), outside)
        assert.match(yield* message(b), /_new is a symbolic link/)
        untouched()

        const c = yield* fresh("c")
        plant(join(c, kind === "parquet" ? "up" : `up${ending[kind]}`), kind === "parquet" ? outside : target)
        for (const mode of syncModes) assert.match(yield* message(c, mode), /up\S* is a symbolic link/)
        untouched()
        if (kind === "parquet") {
          const day = yield* fresh("day")
          plant(join(day, "up", "day=2026-01-01"), outside)
          assert.match(yield* message(day, "full_refresh_overwrite"), /day=2026-01-01 is a symbolic link/)
          assert.match(yield* message(day), /is missing or not the file|is a symbolic link/)
          untouched()
        }

        // The next lock, and files that are written aside.
        const d = yield* fresh("d")
        symlinkSync(target, join(d, "_state", "_lock.2"))
        assert.match(yield* message(d), /_lock\.2 is a symbolic link/)
        const e = yield* fresh("e")
        yield* use(
          kind,
          e,
          Effect.gen(function* () {
            const made = [
              "up.1.jsonl",
              "up.1.jsonl.gz",
              "up.1.jsonl.later",
              "up=2",
              "up=3",
              "up.json.new",
              "up.jsonl.later"
            ]
            for (const name of made) symlinkSync(target, join(e, "_state", "_new", name))
            for (const name of ["up.json.new", "_about.json.new"])
              symlinkSync(target, join(e, "_state", name))
            yield* put("up", "incremental_append_deduped", 1)
            yield* Effect.exit(put("up", "full_refresh_overwrite", 1))
          })
        )
        untouched()
        const f = yield* fresh("f")
        plant(join(f, "_state", "up.json"), target)
        assert.match(yield* message(f), /up\.json is damaged or was not written by source-prometheus/)
        untouched()
        const g = yield* fresh("g")
        plant(join(g, "_state", "_about.json"), target)
        assert.match(yield* message(g), /_about\.json is damaged/)
        untouched()

        // But the folder itself may be a link.
        const real = yield* fresh("real")
        symlinkSync(real, join(parent, "link"))
        yield* use(kind, join(parent, "link"), put("up", "incremental_append", 1))
        assert.strictEqual(yield* use(kind, real, rowsOf("up")), 2)
      })
    )

    it.live("restarts a refresh whose file is lost", () =>
      Effect.gen(function* () {
        const folder = join(yield* temporaryFolder, "data")
        yield* use(kind, folder, put("up", "incremental_append", 0))
        yield* use(kind, folder, put("up", "full_refresh_overwrite", 1, false))
        assert.strictEqual(yield* use(kind, folder, loadedTime("full_refresh_overwrite")), stateAt(1).time)
        const newPath = join(folder, "_state", "_new")
        assert.isNotEmpty(readdirSync(newPath))
        rmSync(newPath, { recursive: true })
        assert.isUndefined(yield* use(kind, folder, loadedTime("full_refresh_overwrite")))
        yield* use(kind, folder, put("up", "full_refresh_overwrite", 2))
        assert.strictEqual(yield* use(kind, folder, rowsOf("up")), 1)
        assert.isFalse(existsSync(join(newPath, "up")))
      })
    )
  })
}
