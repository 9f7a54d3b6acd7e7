import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseClusterAddress } from "../../src/cluster/clusterAddress.ts"

const failure = (text: string): string =>
  Result.match(parseClusterAddress(text), {
    onSuccess: ({ url }) => `accepted ${url}`,
    onFailure: (why) => why
  })

describe("parseClusterAddress", () => {
  it("names the database without the user", () => {
    for (const [url, text] of [
      ["postgresql://sync@db:5433/cluster?sslmode=require", "postgresql://db:5433/cluster"],
      ["postgres://sync@db", "postgresql://db/sync"],
      ["postgresql://[::1]/my%20db", "postgresql://[::1]/my db"]
    ] as const) {
      assert.deepStrictEqual(Result.getOrThrow(parseClusterAddress(url)), { url, text })
    }
  })

  it("refuses a password without repeating it", () => {
    for (const [url, word] of [
      ["postgresql://sync:hunter2@db/x", "password"],
      ["postgresql://sync@db/x?password=hunter2", "password"],
      ["postgresql://sync@db/x?sslpassword=hunter2", "value of sslpassword"]
    ] as const) {
      assert.strictEqual(
        failure(url),
        `--cluster has a ${word}, which other users of this machine would see in the list of processes. Put it into the environment variable PGPASSWORD or the file ~/.pgpass (or PGPASSFILE).`
      )
    }
  })

  it("refuses a percent sign that encodes nothing", () => {
    assert.match(failure("postgresql://db/100%"), /percent sign/)
  })

  it("refuses what is no URL of PostgreSQL", () => {
    for (const text of ["", "db", "mysql://db/x", "http://db", "host=db user=sync"]) {
      assert.match(failure(text), /^--cluster must be the URL of a PostgreSQL database/)
    }
  })
})
