/** The path of a database, the files beside it, and that opening it for reading changes nothing there. */
import { execFileSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Destination } from "../../../src/destinations/Destination.ts"
import { Choices } from "../../choices.ts"
import { bundled } from "../../support/bundled.ts"
import * as child from "../../support/child.ts"
import { loadedTime, put, putStopped, stateAt, temporaryFolder } from "../drive.ts"
import { change, databasePath, values } from "./steps.ts"
import { use } from "./use.ts"

const refusal = (path: string, readOnly = false) =>
  Effect.map(Effect.flip(use(path, Effect.void, { readOnly })), ({ message }) => message)

/** The content of a folder, to the byte and the nanosecond. */
const treeOf = (folder: string): ReadonlyArray<unknown> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .concat(".")
    .map((name) => {
      const path = join(folder, name)
      const { ino, mode, mtimeNs, ctimeNs, size } = lstatSync(path, { bigint: true })
      const content = lstatSync(path).isFile() ? readFileSync(path).toString("base64") : ""
      return [name, ino, mode, mtimeNs, ctimeNs, size, content]
    })

describe("the path of a database", () => {
  it.live("is refused without a wait if it is not a file", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const at = (name: string) => join(folder, name)
      execFileSync("mkfifo", [at("pipe")])
      mkdirSync(at("folder"))
      yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer()
          server.listen(at("socket"), () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      for (const [name, target] of [
        ["to-pipe", "pipe"],
        ["to-folder", "folder"],
        ["to-socket", "socket"],
        ["to-device", "/dev/null"],
        ["to-nothing", "nothing"],
        ["to-itself", "to-itself"]
      ] as const) {
        symlinkSync(target, at(name))
      }
      const before = treeOf(folder)
      for (const readOnly of [false, true]) {
        for (const [name, expected] of [
          ["pipe", /pipe cannot be opened: it is a named pipe, not a file\. Choose another file\./],
          ["to-pipe", /it is a named pipe, not a file/],
          ["folder", /it is a folder, not a file/],
          ["to-folder", /it is a folder, not a file/],
          ["socket", /it is a socket, not a file/],
          ["to-socket", /it is a socket, not a file/],
          ["to-device", /it is a device, not a file/],
          ["to-nothing", /it is a symbolic link to nothing, which does not exist\. Remove the link, or/],
          ["to-itself", /to-itself cannot be opened: /]
        ] as const) {
          assert.match(yield* refusal(at(name), readOnly), expected)
        }
        assert.match(yield* refusal("/dev/zero", readOnly), /it is a device, not a file/)
      }
      assert.deepStrictEqual(treeOf(folder), before)
    }).pipe(Effect.scoped)
  )

  it.live("may be a link to a file; other files are then beside that", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      mkdirSync(join(folder, "real"))
      const path = join(folder, "real", "data.duckdb")
      const link = join(folder, "link.duckdb")
      symlinkSync("real/data.duckdb", link)
      yield* use(path, put("up", "incremental_append", 0))
      yield* use(
        link,
        Effect.gen(function* () {
          yield* put("up", "incremental_append", 1)
          assert.match(yield* refusal(path), /is open in this process already/)
        })
      )
      assert.deepStrictEqual(yield* values(path), [0, 1])
      assert.deepStrictEqual(readdirSync(folder).sort(), ["link.duckdb", "real"])
      assert.deepStrictEqual(readdirSync(join(folder, "real")), ["data.duckdb"])
    })
  )

  it.live("is refused if a link is planted where DuckDB writes beside it", () =>
    Effect.gen(function* () {
      for (const ending of [".wal", ".wal.checkpoint", ".wal.recovery"]) {
        const path = yield* databasePath
        const victim = join(path, "..", "victim")
        writeFileSync(victim, "kept")
        symlinkSync("victim", path + ending)
        for (const exists of [false, true]) {
          if (exists) yield* change(path.replace("data", "other"), "SELECT 1")
          const where = exists ? path.replace("data", "other") : path
          if (exists) symlinkSync("victim", where + ending)
          assert.match(
            yield* refusal(where),
            /cannot be opened: DuckDB would write to .*\.duckdb\.wal.*, and that is a symbolic link, not a file\. Remove it/
          )
        }
        assert.strictEqual(readFileSync(victim, "utf8"), "kept")
      }
    })
  )

  it.live("does not follow links planted at our file names", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const folder = join(path, "..")
      const others = join(folder, "others")
      mkdirSync(others)
      writeFileSync(join(others, "duckdb_temp_storage-0.tmp"), "kept")
      for (const name of [".tmp", ".new-1", `.new-${process.pid}`]) symlinkSync("others", path + name)
      yield* use(path, put("up", "incremental_append", 0))
      assert.deepStrictEqual(yield* values(path), [0])
      assert.deepStrictEqual(readdirSync(others), ["duckdb_temp_storage-0.tmp"])
      assert.strictEqual(readlinkSync(`${path}.tmp`), "others")
    })
  )

  it.live("has nothing beside it after a run, even after killed runs", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      const folder = join(path, "..")
      for (const name of [".new-123", ".new-AbCdEf", ".tmp-AbCdEf"]) {
        mkdirSync(path + name)
        writeFileSync(join(path + name, "database"), "half")
      }
      mkdirSync(`${path}.tmp`)
      writeFileSync(join(`${path}.tmp`, "duckdb_temp_storage-0.tmp"), "kept")
      writeFileSync(`${path}.newer`, "kept")
      yield* use(
        path,
        Effect.gen(function* () {
          yield* put("up", "incremental_append", 0)
          const [own, ...others] = readdirSync(folder).filter((name) => name.includes(".tmp-"))
          assert.deepStrictEqual(others, [])
          assert.strictEqual(statSync(join(folder, own!)).mode & 0o777, 0o700)
        })
      )
      assert.deepStrictEqual(readdirSync(folder).sort(), [
        "data.duckdb",
        "data.duckdb.newer",
        "data.duckdb.tmp"
      ])
      assert.deepStrictEqual(readdirSync(`${path}.tmp`), ["duckdb_temp_storage-0.tmp"])
    })
  )
})

describe("a database that is opened for reading only", () => {
  const readOnly = { readOnly: true }

  it.live("has its states, and the disk is not changed", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      yield* use(path, put("up", "incremental_append", 0, 1))
      yield* use(path, putStopped("up", "full_refresh_overwrite", 5))
      const before = treeOf(join(path, ".."))
      yield* use(
        path,
        Effect.gen(function* () {
          const destination = yield* Destination
          assert.strictEqual(yield* loadedTime(), stateAt(1).time)
          assert.strictEqual(yield* loadedTime("full_refresh_overwrite"), stateAt(5).time)
          assert.strictEqual((yield* destination.contents!("up", "current")).rows, 2)
          assert.strictEqual(yield* destination.bytes, statSync(path).size)
          const error = yield* Effect.flip(put("up", "incremental_append", 2))
          assert.match(error.message, /data\.duckdb is open for reading only/)
          assert.deepStrictEqual(treeOf(join(path, "..")), before)
        }),
        readOnly
      )
      assert.deepStrictEqual(treeOf(join(path, "..")), before)
      assert.match(
        yield* Effect.map(
          Effect.flip(use(path, Effect.void, { ...readOnly, source: "http://else" })),
          ({ message }) => message
        ),
        /holds data of http:\/\/mock/
      )
    })
  )

  it.live(
    "does not touch the files of a killed run, but has its state",
    () =>
      Effect.gen(function* () {
        const random = new Choices(7, Number.POSITIVE_INFINITY)
        for (let kill = 0; kill < 3; kill++) {
          const path = yield* databasePath
          const writer = yield* child.start(["duckdb", dirname(path)], {
            script: yield* Effect.promise(() => bundled(new URL("../writerProcess.ts", import.meta.url)))
          })
          const first = yield* writer.waitFor((message) => "point" in message)
          assert.match(yield* refusal(path, true), new RegExp(`is in use by process ${writer.process.pid}`))
          yield* Effect.sleep(random.below(300))
          writer.kill("SIGKILL")
          yield* writer.result
          const before = treeOf(join(path, ".."))
          const time = yield* use(path, loadedTime(), readOnly)
          assert.isAtLeast(Date.parse(time ?? ""), Date.parse(stateAt(Number(first.point)).time))
          assert.deepStrictEqual(treeOf(join(path, "..")), before)
          // The same as with a database opened for writing.
          assert.strictEqual(yield* use(path, loadedTime()), time)
        }
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("may be empty or missing", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      assert.match(yield* refusal(path, true), /data\.duckdb cannot be opened: it does not exist\./)
      assert.isFalse(existsSync(path))
      yield* change(path, "SELECT 1")
      const before = treeOf(join(path, ".."))
      assert.isUndefined(yield* use(path, loadedTime(), readOnly))
      assert.deepStrictEqual(treeOf(join(path, "..")), before)
    })
  )
})

describe("a file that DuckDB would read as its log", () => {
  it.live("is kept, whatever it is", () =>
    Effect.gen(function* () {
      const path = yield* databasePath
      writeFileSync(`${path}.wal`, "my notes")
      assert.match(yield* refusal(path), /\.wal exists without a database, and DuckDB would remove it/)
      assert.strictEqual(readFileSync(`${path}.wal`, "utf8"), "my notes")
      assert.isFalse(existsSync(path))
      const other = yield* databasePath
      yield* change(other, "CREATE TABLE mine AS SELECT 42 AS answer")
      assert.match(yield* refusal(`${other}.wal`), /it is where DuckDB keeps the log of/)
      const third = yield* databasePath
      yield* change(third, "SELECT 1")
      copyFileSync(other, `${third}.wal`)
      assert.match(yield* refusal(third), /\.wal is a database itself/)
      assert.deepStrictEqual(readFileSync(`${third}.wal`), readFileSync(other))
    })
  )
})
