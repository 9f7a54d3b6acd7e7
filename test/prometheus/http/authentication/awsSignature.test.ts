import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import {
  amzDate,
  parseAmzDate,
  signedHeaders,
  withSignableQuery
} from "../../../../src/prometheus/http/authentication/awsSignature.ts"
import { claimOf, expectedAuthorization } from "../../../support/awsSignatureCheck.ts"

const keys = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" }

const scope = {
  region: "us-east-1",
  service: "service",
  timeMillis: Date.UTC(2015, 7, 30, 12, 36)
}

interface Vector {
  readonly name: string
  readonly method?: "GET" | "POST"
  /** As AWS' examples have it: characters that need encoding are not encoded. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly sessionToken?: string
  readonly signature: string
}

const formType = { "content-type": "application/x-www-form-urlencoded" }

const token =
  "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

const unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/** AWS' published examples ("aws-sig-v4-test-suite"), by their names there. */
const vectors: ReadonlyArray<Vector> = [
  {
    name: "get-vanilla",
    target: "/",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
  },
  {
    name: "get-vanilla-query-order-key-case",
    target: "/?Param2=value2&Param1=value1",
    signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
  },
  {
    name: "get-vanilla-query-unreserved",
    target: `/?${unreserved}=${unreserved}`,
    signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"
  },
  {
    name: "get-vanilla-empty-query-key",
    target: "/?Param1=value1",
    signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"
  },
  {
    name: "get-vanilla-utf8-query",
    target: "/?ሴ=bar",
    signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"
  },
  {
    name: "get-utf8",
    target: "/ሴ",
    signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"
  },
  {
    name: "get-space",
    target: "/example space/",
    signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"
  },
  {
    name: "get-unreserved",
    target: `/${unreserved}`,
    signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"
  },
  {
    name: "get-slashes",
    target: "//example//",
    signature: "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"
  },
  {
    name: "get-relative",
    target: "/example/..",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
  },
  {
    name: "get-header-value-trim",
    target: "/",
    headers: { "my-header1": " value1", "my-header2": ' "a   b   c"' },
    signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
  },
  {
    name: "get-vanilla-with-session-token",
    target: "/",
    sessionToken: "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
    signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
  },
  {
    name: "post-vanilla",
    method: "POST",
    target: "/",
    signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
  },
  {
    name: "post-vanilla-query",
    method: "POST",
    target: "/?Param1=value1",
    signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"
  },
  {
    name: "post-sts-header-before",
    method: "POST",
    target: "/",
    sessionToken: token,
    signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
  },
  {
    name: "post-x-www-form-urlencoded",
    method: "POST",
    target: "/",
    headers: formType,
    body: "Param1=value1",
    signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
  },
  {
    name: "post-x-www-form-urlencoded-parameters",
    method: "POST",
    target: "/",
    headers: { "content-type": "application/x-www-form-urlencoded; charset=utf8" },
    body: "Param1=value1",
    signature: "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"
  }
]

const encode = (text: string) => new TextEncoder().encode(text)

describe("signedHeaders", () => {
  for (const { body, headers = {}, method = "GET", name, sessionToken, signature, target } of vectors) {
    it.effect(`signs AWS' example ${name}`, () =>
      Effect.gen(function* () {
        const signed = yield* Effect.promise(() =>
          signedHeaders(
            {
              method,
              url: new URL(`https://example.amazonaws.com${target}`),
              headers,
              ...(body === undefined ? {} : { body: encode(body) })
            },
            { ...keys, sessionToken },
            scope,
            { singleEncode: true }
          )
        )
        const names = [
          ...Object.keys(headers),
          "host",
          "x-amz-date",
          ...(sessionToken === undefined ? [] : ["x-amz-security-token"])
        ]
        assert.strictEqual(
          signed.authorization,
          `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=${names.sort().join(";")}, Signature=${signature}`
        )
        assert.strictEqual(signed["x-amz-date"], "20150830T123600Z")
        assert.strictEqual(signed["x-amz-security-token"], sessionToken)
      })
    )
  }
})

const text = Schema.Union([
  Schema.String,
  Schema.Literals([
    '{__name__=~"a|b\\\\.c",x!~"~"}',
    "a b",
    "a+b",
    "*'()!",
    "é ü 漢 🎉",
    "%41%zz",
    "a&b=c;d",
    ""
  ])
])

// The other library cannot sign a parameter of this name.
const name = Schema.Union([Schema.Literals(["match[]", "query", "Query", "a b"]), text]).check(
  Schema.makeFilter((name: string) => name !== "__proto__")
)

const Parameters = Schema.Array(Schema.Tuple([name, text]))

describe("withSignableQuery", () => {
  it.prop(
    "keeps what a query says, and each service reads it in the same way",
    [Parameters],
    ([parameters]) => {
      const pairs = parameters.map(([name, value]) => [name.toWellFormed(), value.toWellFormed()] as const)
      const { search } = withSignableQuery(
        new URL(
          `https://example.com/?${new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value]))}#x`
        )
      )
      const named = pairs.filter(([name]) => name !== "")
      assert.deepStrictEqual(
        [...new URLSearchParams(search)],
        named.map((pair) => [...pair])
      )
      assert.match(search, /^(\?[\w.~=&%-]+)?$/)
      const strict = search
        .slice(1)
        .split("&")
        .filter((pair) => pair !== "")
        .map((pair) => pair.split("=").map(decodeURIComponent))
      assert.deepStrictEqual(
        strict,
        named.map((pair) => [...pair])
      )
    }
  )
})

const Segments = Schema.Array(text)

describe("signatures", () => {
  it.effect.prop(
    "are those of AWS' own library",
    [Parameters, Segments, text, Schema.Boolean, Schema.Boolean],
    ([parameters, segments, body, isForm, isTemporary]) =>
      Effect.gen(function* () {
        const given = new URL("https://aps-workspaces.eu-central-1.amazonaws.com/")
        given.pathname = ["workspaces", ...segments].map((part) => part.toWellFormed()).join("/")
        for (const [name, value] of parameters) given.searchParams.append(name, value)
        const url = withSignableQuery(given)
        const own = {
          accessKeyId: "AKIDEXAMPLE",
          secretAccessKey: "s3cr/et+",
          sessionToken: isTemporary ? "to/ken==" : undefined
        }
        const request = {
          method: isForm ? "POST" : "GET",
          url,
          headers: {
            ...(isForm ? formType : {}),
            "x-amz-content-sha256": "0".repeat(64),
            "x-amz-a": " b  c "
          },
          body: isForm ? encode(body) : undefined
        }
        const aps = { ...scope, service: "aps" }
        const headers = yield* Effect.promise(() => signedHeaders(request, own, aps))
        const claim = claimOf(headers.authorization)
        assert.isDefined(claim)
        const expected = yield* Effect.promise(() =>
          expectedAuthorization(
            {
              method: request.method,
              target: `${url.pathname}${url.search}`,
              headers: { ...headers, host: url.host },
              body: request.body ?? new Uint8Array()
            },
            own,
            claim
          )
        )
        assert.strictEqual(headers.authorization, expected)
      })
  )
})

describe("times", () => {
  it("are written to the second, and parsed", () => {
    assert.strictEqual(amzDate(Date.UTC(2026, 10, 29, 1, 2, 3, 999)), "20261129T010203Z")
    assert.strictEqual(parseAmzDate("20261129T010203Z"), Date.UTC(2026, 10, 29, 1, 2, 3))
    for (const wrong of ["", "20261129", "20261329T010203Z", "2026-11-29T01:02:03Z"]) {
      assert.isUndefined(parseAmzDate(wrong), wrong)
    }
  })
})
