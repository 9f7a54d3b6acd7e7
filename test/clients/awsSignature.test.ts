/** Signatures for AWS, computed again by botocore, which AWS' own command line uses. */
import { assert, describe, inject, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { awsSigV4 } from "../../src/prometheus/http/authentication/awsSigV4.ts"
import * as connector from "../support/connector.ts"
import { script } from "./fixture.ts"
import { runPython } from "./python.ts"

const python = inject("python")

const keys = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "s3cr/et+", sessionToken: "to/ken==" }

const { authenticate } = awsSigV4.make(
  {
    auth_type: "aws_sigv4",
    region: "eu-central-1",
    service: "aps",
    access_key_id: keys.accessKeyId,
    secret_access_key: Redacted.make(keys.secretAccessKey),
    session_token: Redacted.make(keys.sessionToken)
  },
  {
    tokenClient: HttpClient.make(() => Effect.die("no request is needed")),
    timeoutMillis: 1000,
    addSecret: () => {},
    mask: (text) => text
  }
)

const workspace = "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1"

const parameters = [
  ["match[]", '{__name__=~"a|b\\\\.c",x!~"~*\'()!"}'],
  ["match[]", "a b+c"],
  ["Query", "é ü 漢 🎉 %41"],
  ["empty", ""],
  ["a b", "&=;"]
] as const

const requests = [
  HttpClientRequest.get(`${workspace}/labels`),
  HttpClientRequest.appendUrlParams(HttpClientRequest.get(`${workspace}/series`), parameters),
  HttpClientRequest.get(`${workspace}/label/U__a_20_b (c)'é|!*/values?start=1`),
  HttpClientRequest.get("http://localhost:8080//two///slashes/../x/?a=1"),
  HttpClientRequest.bodyUrlParams(HttpClientRequest.post(`${workspace}/query`), parameters),
  HttpClientRequest.bodyUrlParams(HttpClientRequest.post(`${workspace}/query?b=2&a=1`), parameters)
]

describe.runIf(python !== undefined)("AWS signatures", () => {
  it.live("are those of botocore", () =>
    Effect.gen(function* () {
      const files = yield* connector.workspace
      const signed = yield* Effect.forEach(requests, authenticate)
      const cases = signed.map(({ body, headers, method, url }) => ({
        ...keys,
        region: "eu-central-1",
        service: "aps",
        method,
        url,
        body: body._tag === "Uint8Array" ? Buffer.from(body.body).toString() : "",
        headers: Object.fromEntries(
          Object.entries(headers).filter(([name]) => name === "content-type" || name.startsWith("x-amz-"))
        )
      }))
      const { code, stderr, stdout } = yield* runPython(python ?? "", files.path(""), [
        script("aws_signatures.py"),
        files.write("cases.json", cases)
      ])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.deepStrictEqual(
        stdout.trim().split("\n"),
        signed.map(({ headers }) => /Signature=(.*)$/.exec(headers.authorization ?? "")?.[1])
      )
    })
  )
})
