/** Ways in with TLS: a Prometheus with its own, and nginx in front of one. */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { type Certificate, certificate } from "../support/certificates.ts"
import * as connector from "../support/connector.ts"
import * as Nginx from "../support/nginx.ts"
import { basicAuthPassword, basicAuthUser } from "../support/RealServer.ts"
import { describeEach, prometheusServers } from "../support/servers.ts"
import { assertReads, refusalOf, series } from "../support/waysIn.ts"

const day = 86_400_000
const past = { from: new Date(Date.now() - 20 * day), to: new Date(Date.now() - 10 * day) }
const future = { from: new Date(Date.now() + 10 * day), to: new Date(Date.now() + 20 * day) }

const root = certificate({ commonName: "Test Root", isAuthority: true })
const intermediate = certificate({ commonName: "Test Intermediate", isAuthority: true, issuer: root })
const otherRoot = certificate({ commonName: "Other Root", isAuthority: true })

/** A certificate with those that a server or a client sends after it. */
const withChain = (own: Certificate, ...others: ReadonlyArray<Certificate>) => ({
  ...own,
  cert: [own, ...others].map(({ cert }) => cert).join("")
})

const name = "prometheus.test"
const serverCertificate = withChain(
  certificate({ hosts: [name, "localhost"], issuer: intermediate, keyType: "rsa" }),
  intermediate
)
const clientRoot = certificate({ commonName: "Client Root", isAuthority: true, keyType: "rsa" })
const clientIntermediate = certificate({
  commonName: "Client Intermediate",
  isAuthority: true,
  issuer: clientRoot
})
const client = withChain(
  certificate({ commonName: "reader", issuer: clientIntermediate }),
  clientIntermediate
)
const expiredClient = certificate({ commonName: "expired reader", issuer: clientRoot, ...past })
const foreignClient = certificate({ commonName: "foreign reader", issuer: otherRoot })
const passphrase = "Geheim-4711 é"

const trusted = { ca_certificate: root.cert }
const identified = { ...trusted, server_name: name, client_certificate: client.cert, client_key: client.key }
const identity = ({ cert, key }: Pick<Certificate, "cert" | "key">) => ({
  ...identified,
  client_certificate: cert,
  client_key: key
})
const user = { basic_auth_user: basicAuthUser, basic_auth_pass: basicAuthPassword }

class Secured extends Context.Service<Secured, { readonly base_url: string }>()("test/Secured") {}

describeEach(prometheusServers, "TLS of $name itself, with client certificates and users", ({ make }) => {
  const server = make({
    series,
    basicAuth: true,
    tls: { certificate: serverCertificate, clientAuthorities: clientRoot.cert, client }
  })
  layer(
    Layer.effect(
      Secured,
      Effect.map(server, ({ baseUrl }) => ({ base_url: baseUrl }))
    ),
    { timeout: 120_000 }
  )((it) => {
    it.effect("is read with both", () =>
      Effect.gen(function* () {
        const { base_url } = yield* Secured
        const { warnings } = yield* assertReads({ base_url, ...user, tls: identified })
        assert.deepStrictEqual(warnings, [[], [], [], []])
      })
    )

    it.effect("is read with an encrypted key, in each of its forms", () =>
      Effect.gen(function* () {
        const { base_url } = yield* Secured
        for (const type of ["pkcs8", "sec1"] as const) {
          const key = client.privateKey.export({ type, format: "pem", cipher: "aes-256-cbc", passphrase })
          const tls = { ...identified, client_key: key.toString(), client_key_passphrase: passphrase }
          const { output } = yield* assertReads({ base_url, ...user, tls })
          assert.notInclude(output, "Geheim")
        }
      })
    )

    it.effect("says that it wants a certificate", () =>
      Effect.gen(function* () {
        const { base_url } = yield* Secured
        const message = yield* refusalOf({ base_url, ...user, tls: { ...trusted, server_name: name } })
        assert.match(
          message,
          /cannot be reached securely \(certificate required\)\. The server wants a client certificate: set tls\.client_certificate and tls\.client_key\.$/
        )
      })
    )

    it.effect("refuses other certificates", () =>
      Effect.gen(function* () {
        const { base_url } = yield* Secured
        for (const refused of [
          foreignClient,
          expiredClient,
          { ...client, cert: client.cert.slice(0, client.cert.indexOf("-----BEGIN", 10)) }
        ]) {
          const message = yield* refusalOf({ base_url, ...user, tls: identity(refused) })
          assert.match(
            message,
            /cannot be reached.*\((it refuses the client certificate|it does not know the authority of the client certificate|the connection was (reset|closed)).*tls\.client_certificate/
          )
        }
      })
    )

    it.effect("refuses a wrong password", () =>
      Effect.gen(function* () {
        const { base_url } = yield* Secured
        const message = yield* refusalOf({ base_url, ...user, basic_auth_pass: "wrong", tls: identified })
        assert.match(message, /HTTP 401.*basic_auth_user, basic_auth_pass/)
      })
    )

    it.effect("is not read if its authority is unknown, and nothing is sent to it", () =>
      Effect.gen(function* () {
        const { base_url } = yield* Secured
        const { ca_certificate, ...others } = identified
        const unknown = yield* refusalOf({ base_url, ...user, tls: others })
        assert.match(
          unknown,
          /set tls\.ca_certificate to the certificate of the authority that has issued the server's: "Test Root"\.$/
        )
        const wrong = yield* refusalOf({
          base_url,
          ...user,
          tls: { ...others, ca_certificate: otherRoot.cert }
        })
        assert.match(
          wrong,
          /tls\.ca_certificate does not contain the authority that has issued it: "Test Root"/
        )
      })
    )

    it.effect("is read without verification, with a warning in every sync", () =>
      Effect.gen(function* () {
        const { base_url } = yield* Secured
        const { ca_certificate, server_name, ...others } = identified
        const { warnings } = yield* assertReads({ base_url, ...user, tls: { ...others, verify: false } })
        for (const [warning = "", ...more] of warnings) {
          assert.match(warning, /tls\.verify is false: the certificate of https:.* is not checked/)
          assert.deepStrictEqual(more, [])
        }
      })
    )
  })
})

type RunningNginx = Effect.Success<ReturnType<typeof Nginx.make>>

class Front extends Context.Service<Front, RunningNginx & { readonly demanding: RunningNginx }>()(
  "test/Front"
) {}

describe("TLS of nginx, in front of Prometheus", { concurrent: true }, () => {
  const site = (name: string, certificate: Nginx.Site["certificate"]): Nginx.Site => ({ name, certificate })
  const hosts = (name: string) => ({ hosts: [name, "127.0.0.1"] })
  const sites: ReadonlyArray<Nginx.Site> = [
    site(
      "plain.test",
      withChain(certificate({ ...hosts("plain.test"), issuer: intermediate }), intermediate)
    ),
    site("lonely.test", certificate({ ...hosts("lonely.test"), issuer: intermediate })),
    site("expired.test", certificate({ ...hosts("expired.test"), issuer: root, ...past })),
    site("early.test", certificate({ ...hosts("early.test"), issuer: root, ...future })),
    site("self.test", certificate(hosts("self.test")))
  ]
  const front = Effect.gen(function* () {
    const upstream = yield* prometheusServers[0]!.make({ series })
    // nginx chooses a site by the name in the request, after the handshake: these clients ask for the first one.
    const demanding = {
      ...site("client.test", certificate({ ...hosts("client.test"), issuer: root })),
      clientAuthorities: clientRoot.cert
    }
    return {
      ...(yield* Nginx.make({ upstream: upstream.baseUrl, sites })),
      demanding: yield* Nginx.make({ upstream: upstream.baseUrl, sites: [demanding] })
    }
  })
  layer(Layer.effect(Front, front), { timeout: 120_000 })((it) => {
    it.effect("is read under its prefix, by the name of its host or another", () =>
      Effect.gen(function* () {
        const { baseUrl: base_url, requests } = yield* Front
        yield* assertReads({ base_url, tls: trusted, ...user })
        yield* assertReads({ base_url, tls: { ...trusted, server_name: "plain.test" } })
        // An authority between the server and the root is enough.
        yield* assertReads({ base_url, tls: { ca_certificate: intermediate.cert } })
        yield* assertReads({ base_url, tls: { ...trusted, server_name: "127.0.0.1" } })
        assert.isTrue(requests().some((line) => line.includes("|Basic ")))
      })
    )

    it.effect("is read by a certificate that signs itself, if that one is trusted", () =>
      Effect.gen(function* () {
        const { baseUrl: base_url } = yield* Front
        const { cert = "" } = sites.find(({ name }) => name === "self.test")?.certificate ?? {}
        const server_name = "self.test"
        yield* assertReads({ base_url, tls: { server_name, ca_certificate: cert } })
        const message = yield* refusalOf({ base_url, tls: { server_name, ...trusted } })
        assert.match(
          message,
          /\(self-signed certificate\)\. tls\.ca_certificate does not contain the server's certificate, which is signed by itself/
        )
        assert.match(
          yield* refusalOf({ base_url, tls: { server_name } }),
          /set tls\.ca_certificate to the certificate of the server itself/
        )
      })
    )

    it.effect("with the variable NODE_EXTRA_CA_CERTS, beside tls.ca_certificate", () =>
      Effect.gen(function* () {
        const { baseUrl: base_url } = yield* Front
        const files = yield* connector.workspace
        const env = { NODE_EXTRA_CA_CERTS: files.write("root.pem", root.cert) }
        yield* assertReads({ base_url }, env)
        yield* assertReads({ base_url, tls: { ca_certificate: otherRoot.cert } }, env)
      })
    )

    it.effect("says which names the certificate has", () =>
      Effect.gen(function* () {
        const { port } = yield* Front
        const base_url = `https://localhost:${port}/prometheus`
        const message = yield* refusalOf({ base_url, tls: trusted })
        assert.match(
          message,
          /\(its certificate is for plain\.test, 127\.0\.0\.1, but not for localhost\).*set tls\.server_name to a name of its certificate\.$/
        )
        yield* assertReads({ base_url, tls: { ...trusted, server_name: "plain.test" } })
        const wrong = yield* refusalOf({ base_url, tls: { ...trusted, server_name: "other.test" } })
        assert.match(
          wrong,
          /but not for other\.test\)\. Set tls\.server_name to a name of the server's certificate/
        )
        assert.match(
          yield* refusalOf({ base_url, tls: { ...trusted, server_name: "10.0.0.1" } }),
          /but not for 10\.0\.0\.1\)/
        )
      })
    )

    it.effect("says when its certificate expired, or will be valid", () =>
      Effect.gen(function* () {
        const { baseUrl: base_url } = yield* Front
        const second = (time: Date) => time.toISOString().replace(/\.\d+/, "")
        const expired = yield* refusalOf({ base_url, tls: { ...trusted, server_name: "expired.test" } })
        assert.include(
          expired,
          `(its certificate expired at ${second(past.to)}). Renew the server's certificate`
        )
        const early = yield* refusalOf({ base_url, tls: { ...trusted, server_name: "early.test" } })
        assert.include(
          early,
          `(its certificate is not valid before ${second(future.from)}). Correct the clock`
        )
      })
    )

    it.effect("says that certificates between its own and the root may be missing", () =>
      Effect.gen(function* () {
        const { baseUrl: base_url } = yield* Front
        const server_name = "lonely.test"
        const message = yield* refusalOf({ base_url, tls: { ...trusted, server_name } })
        assert.match(
          message,
          /does not contain the authority that has issued it: "Test Intermediate".*intermediate authorities too/
        )
        yield* assertReads({ base_url, tls: { server_name, ca_certificate: root.cert + intermediate.cert } })
      })
    )

    it.effect("wants a client certificate", () =>
      Effect.gen(function* () {
        const { baseUrl: base_url, requests } = (yield* Front).demanding
        const server_name = "client.test"
        yield* assertReads({ base_url, tls: { ...identified, server_name } })
        assert.isTrue(requests().some((line) => line.endsWith("|CN=reader")))
        const missing = yield* refusalOf({ base_url, tls: { ...trusted, server_name } })
        assert.match(missing, /HTTP 400.*The server wants a client certificate: set tls\.client_certificate/)
        for (const refused of [foreignClient, expiredClient]) {
          const message = yield* refusalOf({ base_url, tls: { ...identity(refused), server_name } })
          assert.match(
            message,
            /HTTP 400.*The server refuses the client certificate.*Check tls\.client_certificate/
          )
        }
      })
    )
  })
})
