import { assert, describe, it } from "@effect/vitest"
import type { ApiRequest } from "../../../src/prometheus/http/ApiRequest.ts"
import { RequestForms, refusedParams } from "../../../src/prometheus/http/RequestForms.ts"

const request: ApiRequest = {
  method: "GET",
  path: "/api/v1/query_range",
  params: { query: "up" },
  optional: { timeout: "54", dedup: "true", nocache: "1" },
  isGuess: true,
  takesForm: true
}

const long: ApiRequest = { ...request, method: "POST", params: { query: "x".repeat(5000) } }

const refusal = (status: number, text = "") => ({ status, text })

const google = (...names: ReadonlyArray<string>) =>
  JSON.stringify({
    error: {
      code: 400,
      message: names
        .map(
          (name) =>
            `Invalid JSON payload received. Unknown name "${name}": Cannot bind query parameter. Field '${name}' could not be found in request message.`
        )
        .join("\n"),
      status: "INVALID_ARGUMENT"
    }
  })

describe("the parameters that a refusal names", () => {
  const names = ["timeout", "partial_response", "deny_partial_response", "dedup", "nocache"]

  it.each<[text: string, status: number, named: ReadonlyArray<string>]>([
    [google("nocache"), 400, ["nocache"]],
    [google("partial_response", "timeout"), 400, ["timeout", "partial_response"]],
    ["unknown query parameter: dedup", 400, ["dedup"]],
    ["parameter 'deny_partial_response' is not allowed", 403, ["deny_partial_response"]],
    ["Unexpected parameters timeout", 422, ["timeout"]],
    // These are about something else.
    ["invalid parameter query: timeout exceeded", 400, []],
    ["1:5: parse error: unexpected identifier", 400, []],
    ["nocache", 400, []],
    ['{"errorType":"timeout","error":"invalid"}', 422, []],
    ["unknown name nocache", 503, []],
    ["unknown name nocache", 404, []],
    ["unknown name nocache_2 or x-dedup", 400, []]
  ])("%s with HTTP %i are %j", (text, status, named) => {
    assert.deepStrictEqual(refusedParams(names, { status, text }), named)
  })
})

describe("a request", () => {
  it("is sent without what the server refuses by name, from then on", () => {
    const forms = new RequestForms()
    const first = forms.first(request)
    assert.deepStrictEqual(first, { method: "GET", optional: ["timeout", "dedup", "nocache"] })
    const second = forms.next(request, first, refusal(400, google("nocache")))!
    assert.deepStrictEqual(second, { method: "GET", optional: ["timeout", "dedup"], attempt: "params" })
    const third = forms.next(request, second, refusal(400, google("dedup")))!
    assert.deepStrictEqual(third, { method: "GET", optional: ["timeout"], attempt: "params" })
    forms.succeeded(request, third)
    assert.deepStrictEqual(forms.first(request).optional, ["timeout"])
  })

  it("is tried once without any optional parameter if they never worked", () => {
    const forms = new RequestForms()
    const first = forms.first(request)
    const second = forms.next(request, first, refusal(400, "bad request"))!
    assert.deepStrictEqual(second, { method: "GET", optional: [], attempt: "noParams" })
    // The refusal is about the request itself.
    assert.isUndefined(forms.next(request, second, refusal(400, "bad request")))
    assert.lengthOf(forms.first(request).optional, 3)
    // This time, it was about the parameters.
    forms.succeeded(request, second)
    assert.deepStrictEqual(forms.first(request).optional, [])
    assert.deepStrictEqual(forms.first({ ...request, path: "/api/v1/labels" }).optional, [])
  })

  it("keeps its parameters once they have worked, and where Prometheus itself refuses it", () => {
    const forms = new RequestForms()
    const first = forms.first(request)
    forms.succeeded(request, first)
    assert.isUndefined(forms.next(request, first, refusal(400, "bad request")))
    const own = '{"status":"error","errorType":"bad_data","error":"parse error"}'
    const certain = { ...request, path: "/api/v1/labels", isGuess: false }
    assert.isUndefined(forms.next(certain, first, refusal(400, own)))
    assert.isDefined(forms.next(certain, first, refusal(400, "bad request")))
    assert.isDefined(forms.next({ ...certain, isGuess: true }, first, refusal(400, own)))
    assert.isUndefined(forms.next(certain, first, refusal(422, "bad request")))
  })

  it.each([403, 404, 405, 415, 501])(
    "is sent as an address where a form is refused with HTTP %i",
    (status) => {
      const forms = new RequestForms()
      const first = forms.first(long)
      assert.strictEqual(first.method, "POST")
      const second = forms.next(long, first, refusal(status))!
      assert.deepStrictEqual([second.method, second.attempt], ["GET", "address"])
      // Both are refused: forms are not the reason.
      assert.isUndefined(forms.next(long, second, refusal(status)))
      assert.strictEqual(forms.first(long).method, "POST")
      forms.succeeded(long, second)
      assert.strictEqual(forms.first(long).method, "GET")
      assert.isUndefined(forms.next(long, forms.first(long), refusal(414)))
    }
  )

  it.each([
    '{"status":"error","errorType":"bad_data","error":"invalid parameter \\"query\\": unknown position: parse error: no expression found in input"}',
    "Missing required parameter: query",
    "query parameter is empty"
  ])("is sent as an address where the query is not found in a form: %s", (text) => {
    const forms = new RequestForms()
    assert.strictEqual(forms.next(long, forms.first(long), refusal(400, text))?.attempt, "address")
  })

  it("is sent as a form where nginx finds its headers too large", () => {
    const forms = new RequestForms()
    const page = "<title>400 Request Header Or Cookie Too Large</title>"
    assert.strictEqual(forms.next(request, forms.first(request), refusal(400, page))?.attempt, "form")
  })

  it("is an address from then on if the server reads that, and refuses what it asks for", () => {
    const forms = new RequestForms()
    const address = forms.next(long, forms.first(long), refusal(405))!
    assert.isUndefined(forms.next(long, address, refusal(422, "too many samples")))
    assert.strictEqual(forms.first(long).method, "GET")
  })

  it.each([414, 431])("is sent as a form where its address is refused as too long with HTTP %i", (status) => {
    const forms = new RequestForms()
    const medium = { ...request, params: { query: "x".repeat(3000) } }
    const second = forms.next(medium, forms.first(medium), refusal(status))!
    assert.deepStrictEqual([second.method, second.attempt], ["POST", "form"])
    forms.succeeded(medium, second)
    assert.strictEqual(forms.first(medium).method, "POST")
    assert.strictEqual(forms.first({ ...request, params: { query: "x".repeat(3001) } }).method, "POST")
    assert.strictEqual(forms.first(request).method, "GET")
    // This endpoint has no form.
    const values: ApiRequest = { ...medium, path: "/api/v1/label/a/values", takesForm: false }
    assert.strictEqual(forms.first(values).method, "GET")
    assert.isUndefined(forms.next(values, forms.first(values), refusal(status)))
  })
})
