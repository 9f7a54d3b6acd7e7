/** Files with a configuration, a catalog or a state. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, PlatformError } from "effect"
import { ConnectorConfig, decodeConfig } from "../../src/config/ConnectorConfig.ts"
import { InputFileError, readJsonFile } from "../../src/config/inputFile.ts"

const minimal = { base_url: "http://localhost:9090", start_date: "2026-01-01", step: 60 }

/** Secrets of a message, marked so that no test needs to list what may not occur. */
const SECRET = "s3cr3t"

describe("files", () => {
  const inFolder = <A, E>(
    run: (
      write: (
        name: string,
        content: string | Uint8Array
      ) => Effect.Effect<string, PlatformError.PlatformError>,
      folder: string
    ) => Effect.Effect<A, E, FileSystem.FileSystem>
  ) =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const folder = yield* files.makeTempDirectoryScoped()
      return yield* run((name, content) => {
        const file = path.join(folder, name)
        const written =
          typeof content === "string" ? files.writeFileString(file, content) : files.writeFile(file, content)
        return Effect.as(written, file)
      }, folder)
    }).pipe(Effect.provide(NodeServices.layer))

  const load = (path: string) =>
    Effect.gen(function* () {
      return yield* ConnectorConfig
    }).pipe(Effect.provide(ConnectorConfig.layerFile(path)))

  it.effect("are read", () =>
    inFolder((write) =>
      Effect.gen(function* () {
        const file = yield* write("config.json", JSON.stringify({ ...minimal, x: 1 }))
        assert.deepStrictEqual(yield* load(file), yield* decodeConfig({ ...minimal, x: 1 }))
        assert.deepStrictEqual(yield* readJsonFile(file, "configuration"), { ...minimal, x: 1 })
      })
    )
  )

  it.effect("may start with a byte order mark, as editors on Windows write it", () =>
    inFolder((write) =>
      Effect.gen(function* () {
        const file = yield* write("config.json", `\ufeff${JSON.stringify(minimal)}`)
        assert.strictEqual((yield* load(file)).stepSeconds, 60)
      })
    )
  )

  it.effect("may be missing", () =>
    inFolder((_, folder) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(load(`${folder}/none.json`))
        assert.instanceOf(error, InputFileError)
        assert.strictEqual(
          error.message,
          `The configuration file ${folder}/none.json cannot be read: it does not exist.`
        )
      })
    )
  )

  it.effect("may be folders", () =>
    inFolder((_, folder) =>
      Effect.gen(function* () {
        const { message } = yield* Effect.flip(readJsonFile(folder, "catalog"))
        assert.strictEqual(message, `The catalog file ${folder} cannot be read: it is not a file.`)
      })
    )
  )

  it.effect("may be forbidden", () =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(load("/config.json"))
      assert.strictEqual(message, "The configuration file /config.json cannot be read: permission denied.")
    }).pipe(
      Effect.provide(
        FileSystem.layerNoop({
          readFileString: (path) =>
            Effect.fail(
              PlatformError.systemError({
                _tag: "PermissionDenied",
                module: "FileSystem",
                method: "readFile",
                pathOrDescriptor: path
              })
            )
        })
      )
    )
  )

  it.effect.each([
    ["lists", "[".repeat(100_000) + "]".repeat(100_000)],
    ["objects", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`],
    [
      "a configuration",
      JSON.stringify({ ...minimal, x: 1 }).replace("1}", `${"[".repeat(101)}${"]".repeat(101)}}`)
    ]
  ] as const)("may be nested too deeply: %s", ([, content]) =>
    inFolder((write) =>
      Effect.gen(function* () {
        const file = yield* write("state.json", content)
        const { message } = yield* Effect.flip(readJsonFile(file, "state"))
        assert.strictEqual(
          message,
          `The state file ${file} is nested too deeply: at most 100 levels of lists and objects are allowed.`
        )
        assert.match(
          (yield* Effect.flip(readJsonFile(yield* write("x", content.slice(0, -1)), "state"))).message,
          /not JSON/
        )
      })
    )
  )

  it.effect("may be much too large, which is detected before reading", () =>
    inFolder((write, folder) =>
      Effect.gen(function* () {
        const files = yield* FileSystem.FileSystem
        const file = yield* write("config.json", "{}")
        yield* files.truncate(file, 500_000_000)
        const { message } = yield* Effect.flip(readJsonFile(`${folder}/config.json`, "configuration"))
        assert.strictEqual(
          message,
          `The configuration file ${file} has 500 MB, but must have at most 400 MB. Check that it is the right file.`
        )
      })
    )
  )

  it.effect.each(["", "  ", "\n\t\n"])("may be empty: %j", (content) =>
    inFolder((write) =>
      Effect.gen(function* () {
        const file = yield* write("state.json", content)
        const { message } = yield* Effect.flip(readJsonFile(file, "state"))
        assert.strictEqual(message, `The state file ${file} is not JSON: it is empty.`)
      })
    )
  )

  it.effect.each([
    `{"basic_auth_pass": "${SECRET}"`,
    `{"basic_auth_pass": ${SECRET}}`,
    `{"basic_auth_pass": "${SECRET}",}`,
    `{'basic_auth_pass': '${SECRET}'}`,
    `basic_auth_pass: ${SECRET}`,
    `${SECRET}`,
    `"${SECRET}`,
    `{"basic_auth_pass": "${SECRET}\n"}`,
    `{"basic_auth_pass": "position 1 ${SECRET}"`,
    `{"a": "\\x${SECRET}"}`
  ])("never quote what they hold: %s", (content) =>
    inFolder((write) =>
      Effect.gen(function* () {
        const file = yield* write("config.json", content)
        const { message } = yield* Effect.flip(load(file))
        assert.match(message, /^The configuration file .*config\.json is not JSON( \(line \d+\))?\.$/)
        assert.notInclude(message, SECRET)
      })
    )
  )

  it.effect("are reported with the line of a syntax error", () =>
    inFolder((write) =>
      Effect.gen(function* () {
        const file = yield* write("config.json", '{\n  "a": 1,\n  "b": 2,\n}')
        assert.include((yield* Effect.flip(load(file))).message, "is not JSON (line 4).")
      })
    )
  )

  it.effect("are validated like any configuration", () =>
    inFolder((write) =>
      Effect.gen(function* () {
        const file = yield* write("config.json", JSON.stringify({ ...minimal, step: 0 }))
        assert.include((yield* Effect.flip(load(file))).message, "step is 0")
        const list = yield* write("list.json", "[]")
        assert.include((yield* Effect.flip(load(list))).message, "must be a JSON object")
      })
    )
  )
})
