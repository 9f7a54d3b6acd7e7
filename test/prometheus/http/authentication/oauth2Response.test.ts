import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { tokenResponse } from "../../../../src/prometheus/http/authentication/oauth2Response.ts"

const Anything = Schema.Union([
  Schema.Null,
  Schema.Boolean,
  Schema.Number,
  Schema.String,
  Schema.Literals(["bearer", "Bearer", "DPoP", "token", "3600", "", "x y", "1e400"]),
  Schema.Array(Schema.String),
  Schema.Struct({ error: Schema.String })
])

const AnyResponse = Schema.Struct({
  access_token: Schema.optionalKey(Anything),
  token_type: Schema.optionalKey(Anything),
  expires_in: Schema.optionalKey(Anything),
  error: Schema.optionalKey(Anything),
  error_description: Schema.optionalKey(Anything)
})

const Status = Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 }))

describe("a response to a request for a token", () => {
  it.prop(
    "is a token that a header can have, or says why not",
    { json: AnyResponse, status: Status },
    ({ json, status }) => {
      const result = tokenResponse(status, JSON.stringify(json))
      if (Result.isFailure(result)) {
        const { code, problem, text } = result.failure
        // A refusal is described by its code or its status; a success without a token needs words.
        const isRefusal = status > 299 || code !== undefined
        assert.strictEqual(problem === undefined, isRefusal)
        if (text !== undefined) assert.isTrue(text.startsWith(`${code}: `))
        return
      }
      const { lifeMillis, token } = result.success
      assert.isTrue(status < 300)
      assert.strictEqual(token, json.access_token as string)
      assert.match(token, /^[\x21-\x7e]+$/)
      assert.isAbove(lifeMillis, 0)
    },
    { arbitrary: { runs: 500 } }
  )

  it.prop(
    "is understood whatever its body is",
    { body: Schema.String, status: Status },
    ({ body, status }) => {
      for (const text of [body, `{${body}`, `{"access_token":${body}`, `{"error":${JSON.stringify(body)}}`]) {
        tokenResponse(status, text)
      }
    }
  )

  it.each<readonly [expiresIn: unknown, lifeMillis: number]>([
    [3600, 3_600_000],
    ["3600", 3_600_000],
    [0.5, 500],
    ["1.5", 1500],
    [0, Number.POSITIVE_INFINITY],
    [-5, Number.POSITIVE_INFINITY],
    ["never", Number.POSITIVE_INFINITY],
    [null, Number.POSITIVE_INFINITY],
    [true, Number.POSITIVE_INFINITY],
    [undefined, Number.POSITIVE_INFINITY]
  ])("with expires_in %j has a token that is valid for %d ms", (expires_in, lifeMillis) => {
    const result = tokenResponse(200, JSON.stringify({ access_token: "t", expires_in }))
    assert.deepStrictEqual(result, Result.succeed({ token: "t", lifeMillis }))
  })
})
