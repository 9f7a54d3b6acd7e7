import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { passwordFor, passwordIn } from "../../src/postgres/password.ts"

const login = { host: "db.example.com", port: 5432, database: "cluster", user: "sync" }

describe("passwordIn", () => {
  it("takes the first line that fits", () => {
    const text = [
      "# a comment:*:*:*:no",
      "other:5432:cluster:sync:other",
      "db.example.com:5433:cluster:sync:port",
      "db.example.com:5432:*:sync:right",
      "*:*:*:*:last"
    ].join("\n")
    assert.strictEqual(passwordIn(text, login), "right")
    assert.strictEqual(passwordIn(text, { ...login, host: "elsewhere" }), "last")
  })

  it("knows escaped colons and backslashes", () => {
    const text = "::1:5432:cluster:sync:no\r\n\\:\\:1:5432:cluster:sync:a\\:b\\\\c\r\n"
    assert.strictEqual(passwordIn(text, { ...login, host: "::1" }), "a:b\\c")
  })

  it("has none without a line that fits", () => {
    assert.strictEqual(passwordIn("", login), undefined)
    assert.strictEqual(passwordIn("db.example.com:5432:cluster:sync", login), undefined)
  })
})

describe("passwordFor", () => {
  const read = (files: Readonly<Record<string, string>>, environment: NodeJS.ProcessEnv) =>
    passwordFor(login, environment).pipe(
      Effect.provide(
        FileSystem.layerNoop({
          readFileString: (path) => Effect.sync(() => files[path] ?? "")
        })
      )
    )

  it.effect("prefers the variable, then the named file, then the one at home", () =>
    Effect.gen(function* () {
      const files = { "/named": "*:*:*:*:named", "/home/me/.pgpass": "*:*:*:*:home" }
      const home = { HOME: "/home/me" }
      assert.strictEqual(yield* read(files, home), "home")
      assert.strictEqual(yield* read(files, { ...home, PGPASSFILE: "/named" }), "named")
      assert.strictEqual(
        yield* read(files, { ...home, PGPASSFILE: "/named", PGPASSWORD: "variable" }),
        "variable"
      )
      assert.isUndefined(yield* read({}, home))
    })
  )
})
