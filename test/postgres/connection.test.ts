import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseConnection, withDefaults } from "../../src/postgres/connection.ts"

const parse = (text: string) => parseConnection(text, "The address", "host=db dbname=metrics", ["schema"])

describe("parseConnection", () => {
  it("takes the parameters of this program out", () => {
    for (const [text, connection] of [
      ["postgres://u@h/db?schema=a%20b&sslmode=require", "postgresql://u@h/db?sslmode=require"],
      ["host=h schema='a b' port = 1", "host=h port = 1"]
    ] as const) {
      assert.deepStrictEqual(Result.getOrThrow(parse(text)), {
        connection,
        own: new Map([["schema", "a b"]])
      })
    }
  })

  it("begins its sentences with the name of the address, and does not repeat it", () => {
    const failure = (text: string) => Result.getOrThrow(Result.flip(parse(text)))
    assert.strictEqual(
      failure("metrics"),
      "The address must be a URL, or key words, such as host=db dbname=metrics."
    )
    assert.strictEqual(
      failure("postgresql://h/%zz?x=%zz"),
      "The address has a % that does not begin an escape such as %20."
    )
    for (const text of [
      "postgresql://u:hunter2@h/db",
      "postgresql://h/db?SSLpassword=hunter2",
      "password=hunter2"
    ]) {
      assert.match(failure(text), /^The address has a (password|value of sslpassword), which .* PGPASSWORD/)
      assert.notInclude(failure(text), "hunter2")
    }
  })
})

describe("withDefaults", () => {
  const waits =
    "connect_timeout=30&keepalives_idle=30&keepalives_interval=15&keepalives_count=4&client_encoding=UTF8"

  it("names the process, and limits what a connection waits for", () => {
    assert.strictEqual(
      withDefaults("postgresql://h/db", "a b", {}),
      `postgresql://h/db?application_name=a%20b&${waits}`
    )
    assert.strictEqual(
      withDefaults("postgresql://h/db?x=1", "a", {}),
      `postgresql://h/db?x=1&application_name=a&${waits}`
    )
    assert.strictEqual(
      withDefaults("host=h", "it's", {}),
      "host=h application_name='it\\'s' connect_timeout='30' keepalives_idle='30' keepalives_interval='15' keepalives_count='4' client_encoding='UTF8'"
    )
    assert.isTrue(withDefaults("", "a", {}).startsWith("application_name='a' connect_timeout="))
  })

  it("leaves what the address, a service or the environment says", () => {
    const own = "host=h application_name=mine connect_timeout=2 keepalives_idle=1"
    assert.strictEqual(
      withDefaults(own, "a", {}),
      `${own} keepalives_interval='15' keepalives_count='4' client_encoding='UTF8'`
    )
    const encoded = "application_name='a' client_encoding='UTF8'"
    assert.strictEqual(withDefaults("service=s", "a", {}), `service=s ${encoded}`)
    assert.strictEqual(withDefaults("dbname=d", "a", { PGSERVICE: "s" }), `dbname=d ${encoded}`)
    assert.notInclude(withDefaults("dbname=d", "a", { PGCONNECT_TIMEOUT: "5" }), "connect_timeout")
  })
})
