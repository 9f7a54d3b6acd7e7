import { assert, describe, it } from "@effect/vitest"
import { Option, Redacted, Result } from "effect"
import { makeMask } from "../../../src/config/SecretMask.ts"
import {
  type Environment,
  type Proxy,
  proxyChoice,
  proxySecrets,
  serverAt
} from "../../../src/prometheus/http/proxies.ts"

const settings = (url?: string) => ({ proxyUrl: Option.map(Option.fromNullishOr(url), Redacted.make) })

const chosen = (address: string, environment: Environment, proxyUrl?: string) =>
  proxyChoice(settings(proxyUrl), environment)(serverAt(address)!)

const proxyFor = (...args: Parameters<typeof chosen>): Proxy | undefined => Result.getOrThrow(chosen(...args))

const problemFor = (...args: Parameters<typeof chosen>): string =>
  Result.getOrThrow(Result.flip(chosen(...args)))

const target = "https://prometheus.example.com/api"

describe("the proxy", () => {
  it.each<readonly [environment: Environment, http: string | undefined, https: string | undefined]>([
    [{}, undefined, undefined],
    [{ HTTPS_PROXY: "http://s:1" }, undefined, "HTTPS_PROXY"],
    [{ HTTP_PROXY: "http://p:1" }, "HTTP_PROXY", undefined],
    [{ http_proxy: "http://p:1", https_proxy: "http://s:1" }, "http_proxy", "https_proxy"],
    [{ https_proxy: "http://lower:1", HTTPS_PROXY: "http://upper:1" }, undefined, "https_proxy"],
    [{ https_proxy: "", HTTPS_PROXY: "http://upper:1" }, undefined, "HTTPS_PROXY"],
    [{ HTTPS_PROXY: " " }, undefined, undefined],
    [{ ALL_PROXY: "http://p:1" }, undefined, undefined]
  ])("is that of the variable for the scheme: %o", (environment, http, https) => {
    assert.strictEqual(proxyFor("http://a", environment)?.source, http)
    assert.strictEqual(proxyFor("https://a", environment)?.source, https)
  })

  it.each<readonly [written: string, address: string, user?: string]>([
    ["http://proxy.example.com:3128", "http://proxy.example.com:3128"],
    ["http://proxy.example.com", "http://proxy.example.com:80"],
    ["https://proxy.example.com/", "https://proxy.example.com:443"],
    ["proxy.example.com:3128", "http://proxy.example.com:3128"],
    ["localhost", "http://localhost:80"],
    [" http://10.0.0.1:8080 ", "http://10.0.0.1:8080"],
    ["http://[::1]:3128", "http://[::1]:3128"],
    ["http://user:password@proxy:3128", "http://proxy:3128", "user:password"],
    ["user:p@ssword@proxy:3128", "http://proxy:3128", "user:p@ssword"],
    ["http://us%40er:p%3A%2F%25@proxy:3128", "http://proxy:3128", "us@er:p:/%"],
    ["http://user:50%@proxy:3128", "http://proxy:3128", "user:50%"],
    ["http://user:s%C3%A9same@proxy:3128", "http://proxy:3128", "user:sésame"],
    ["http://token@proxy:3128", "http://proxy:3128", "token:"]
  ])("may be written as %s", (written, address, user) => {
    const proxy = proxyFor(target, { HTTPS_PROXY: written })
    assert.strictEqual(proxy?.address, address)
    assert.notInclude(proxy?.host, "[")
    const authorization = user === undefined ? undefined : `Basic ${Buffer.from(user).toString("base64")}`
    assert.strictEqual(proxy?.authorization, authorization)
  })

  it("of proxy_url is for all servers, whatever the environment says", () => {
    const environment = { HTTPS_PROXY: "http://other:1", HTTP_PROXY: "http://other:1", NO_PROXY: "*" }
    for (const server of [target, "http://prometheus.example.com", "https://localhost:9090"]) {
      const proxy = proxyFor(server, environment, "http://proxy:3128")
      assert.strictEqual(proxy?.address, "http://proxy:3128")
      assert.strictEqual(proxy?.source, "proxy_url")
    }
  })

  it.each<readonly [value: string, problem: RegExp]>([
    [
      "socks5://user:Geheim-4711@proxy:1080",
      /^HTTPS_PROXY names a proxy of the kind socks5:\/\/, which is not supported/
    ],
    ["http://user:Geheim-4711", /^HTTPS_PROXY must be the http or https URL of a proxy.*not shown.*%40/],
    ["http://user:Geheim-47#11@proxy:3128", /^HTTPS_PROXY must be/],
    ["http://user:Geheim-47/11@proxy:3128", /^HTTPS_PROXY must be/],
    ["http://", /^HTTPS_PROXY must be/],
    ["http://proxy:99999", /^HTTPS_PROXY must be/]
  ])("that is not valid is a problem of the servers that need it: %s", (value, problem) => {
    const environment = { HTTPS_PROXY: value, NO_PROXY: "b" }
    assert.match(problemFor(target, environment), problem)
    assert.notInclude(problemFor(target, environment), "Geheim")
    assert.isUndefined(proxyFor("http://a", environment))
    assert.isUndefined(proxyFor("https://b", environment))
  })
})

describe("NO_PROXY", () => {
  const isExcluded = (noProxy: string, address: string): boolean =>
    proxyFor(address, { HTTPS_PROXY: "http://proxy:1", NO_PROXY: noProxy }) === undefined

  it.each<readonly [noProxy: string, excluded: ReadonlyArray<string>, others: ReadonlyArray<string>]>([
    ["*", ["a", "10.0.0.1", "[::1]"], []],
    [
      "example.com",
      ["example.com", "EXAMPLE.com", "a.example.com", "b.a.example.com", "example.com."],
      ["notexample.com", "example.com.org"]
    ],
    [".example.com", ["example.com", "a.example.com"], ["notexample.com"]],
    ["*.example.com", ["a.example.com"], ["example.com", "notexample.com"]],
    ["Example.COM", ["a.example.com"], []],
    ["localhost,127.0.0.1", ["localhost", "127.0.0.1", "127.1"], ["127.0.0.2"]],
    [" a , b  c,,", ["a", "b", "c"], ["d"]],
    ["a:9090", ["a:9090", "b.a:9090"], ["a", "a:9091"]],
    ["a:443", ["a"], ["a:444"]],
    ["10.0.0.0/8", ["10.1.2.3"], ["11.1.2.3", "a10.0.0.1.example"]],
    ["192.168.1.4-192.168.1.9", ["192.168.1.4", "192.168.1.9"], ["192.168.1.3", "192.168.1.10"]],
    ["::1", ["[::1]", "[0:0::1]"], ["[::2]"]],
    ["[::1]:9090", ["[::1]:9090"], ["[::1]"]],
    ["fd00::/8", ["[fd00::7]"], ["[fe80::7]", "253.0.0.1"]],
    ["0.0.1", [], ["10.0.0.1"]],
    ["10.0.0.0/99, a", ["a"], ["10.0.0.1"]],
    [".", [], ["a", "a.b"]],
    ["http://a", [], ["a"]]
  ])("%s", (noProxy, excluded, others) => {
    for (const host of excluded) assert.isTrue(isExcluded(noProxy, `https://${host}`), host)
    for (const host of others) assert.isFalse(isExcluded(noProxy, `https://${host}`), host)
  })

  it("in lower case counts first", () => {
    const environment = { HTTPS_PROXY: "http://proxy:1", NO_PROXY: "a", no_proxy: "b" }
    assert.isUndefined(proxyFor("https://b", environment))
    assert.isDefined(proxyFor("https://a", environment))
  })
})

describe("the secrets of proxies", () => {
  it.each([
    "http://user:Geheim%2D4711@proxy:3128",
    "user:Geheim-4711@proxy:3128",
    "http://Geheim-4711@proxy:3128",
    "socks5://user:Geheim-4711@proxy:1080",
    "http://us er:Geheim-4711@pro xy"
  ])("are masked in all forms, wherever they come from: %s", (url) => {
    const base64 = ["user:Geheim-4711", "Geheim-4711:"].map((text) => Buffer.from(text).toString("base64"))
    for (const secrets of [
      proxySecrets(settings(url), {}),
      proxySecrets(settings(), { HTTPS_PROXY: url }),
      proxySecrets(settings(), { http_proxy: url })
    ]) {
      const mask = makeMask(secrets)
      assert.notInclude(mask(`The proxy ${url} got Geheim-4711.`), "4711")
      assert.isTrue(url.includes(" ") || base64.some((text) => mask(text) === "****"))
    }
  })

  it("do not contain its address", () => {
    assert.deepStrictEqual(proxySecrets(settings("http://proxy.example.com:3128"), {}), [])
    const mask = makeMask(proxySecrets(settings("http://user:Geheim-4711@proxy.example.com:3128"), {}))
    assert.strictEqual(mask("through http://proxy.example.com:3128"), "through http://proxy.example.com:3128")
  })
})
