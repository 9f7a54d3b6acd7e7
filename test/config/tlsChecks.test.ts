import { createSecureContext } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { decodeConfig } from "../../src/config/ConnectorConfig.ts"
import { expiryWarnings } from "../../src/config/tlsChecks.ts"
import { authorities, clientIdentity } from "../../src/config/tlsMaterial.ts"
import { certificate } from "../support/certificates.ts"

const root = certificate({ commonName: "Root", isAuthority: true })
const intermediate = certificate({ commonName: "Intermediate", isAuthority: true, issuer: root })
const client = certificate({ commonName: "client", issuer: intermediate })
const other = certificate({ commonName: "other", issuer: root })
const rsa = certificate({ commonName: "rsa", issuer: root, keyType: "rsa" })
const passphrase = "Geheim-4711"
const encrypted = client.privateKey
  .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase })
  .toString()
const encryptedEc = client.privateKey
  .export({ type: "sec1", format: "pem", cipher: "aes-128-cbc", passphrase })
  .toString()
const encryptedRsa = rsa.privateKey
  .export({ type: "pkcs1", format: "pem", cipher: "des-ede3-cbc", passphrase })
  .toString()
const traditional = client.privateKey.export({ type: "sec1", format: "pem" }).toString()

interface Tls {
  readonly ca_certificate?: string
  readonly client_certificate?: string
  readonly client_key?: string
  readonly client_key_passphrase?: string
  readonly server_name?: string
}

const decode = (tls: Tls) =>
  decodeConfig({ base_url: "https://localhost:9090", start_date: "2026-01-01", step: 60, tls })

const problemsOf = (tls: Tls) =>
  Effect.map(Effect.flip(decode(tls)), ({ problems = [] }) => {
    for (const problem of problems) {
      assert.notInclude(problem, passphrase)
      // No line of a certificate or a key.
      assert.notMatch(problem, /[A-Za-z0-9+/]{50}/)
    }
    return problems
  })

const both = { client_certificate: client.cert, client_key: client.key }

describe("tls accepts", () => {
  const oneLine = (pem: string) => pem.replaceAll("\n", " ").trim()
  it.effect.each<readonly [what: string, tls: Tls]>([
    ["a certificate of an authority", { ca_certificate: root.cert }],
    ["several", { ca_certificate: root.cert + intermediate.cert }],
    ["text around them", { ca_certificate: `# Root\nsubject=/CN=Root\n${root.cert}\n# end` }],
    ["no line feed at the end", { ca_certificate: root.cert.trimEnd() }],
    ["no line feed between two", { ca_certificate: root.cert.trimEnd() + intermediate.cert.trimEnd() }],
    ["line ends of Windows", { ca_certificate: root.cert.replaceAll("\n", "\r\n") }],
    ["a backslash and an n", { ca_certificate: root.cert.replaceAll("\n", "\\n") }],
    ["spaces instead of line feeds", { ca_certificate: oneLine(root.cert) }],
    ["indented lines", { ca_certificate: root.cert.replaceAll("\n", "\n    ") }],
    ["a mark of the order of bytes", { ca_certificate: `\ufeff${root.cert}` }],
    [
      "PEM in Base64, as in secrets of Kubernetes",
      { ca_certificate: Buffer.from(root.cert).toString("base64") }
    ],
    [
      "an older name of certificates",
      { ca_certificate: root.cert.replaceAll("CERTIFICATE", "X509 CERTIFICATE") }
    ],
    ["a client's certificate and key", both],
    ["a key in its traditional form", { ...both, client_key: traditional }],
    [
      "its parameters before it",
      {
        ...both,
        client_key: `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${traditional}`
      }
    ],
    ["the certificate in the text of the key", { ...both, client_key: client.cert + client.key }],
    [
      "the certificates up to the root",
      { ...both, client_certificate: client.cert + intermediate.cert + root.cert }
    ],
    ["these in another order", { ...both, client_certificate: root.cert + intermediate.cert + client.cert }],
    ["an encrypted key", { ...both, client_key: encrypted, client_key_passphrase: passphrase }],
    ["a traditional encrypted key", { ...both, client_key: encryptedEc, client_key_passphrase: passphrase }],
    [
      "the same on one line",
      { ...both, client_key: oneLine(encryptedEc), client_key_passphrase: passphrase }
    ],
    [
      "the same with a backslash and an n",
      { ...both, client_key: encryptedEc.replaceAll("\n", "\\n"), client_key_passphrase: passphrase }
    ],
    [
      "an encrypted key of RSA",
      { client_certificate: rsa.cert, client_key: encryptedRsa, client_key_passphrase: passphrase }
    ],
    ["a passphrase that is not needed", { ...both, client_key_passphrase: passphrase }],
    ["a name", { server_name: "prometheus.internal" }],
    ["an address as the name", { server_name: "10.0.0.1" }]
  ])("%s", ([, tls]) =>
    Effect.gen(function* () {
      const settings = yield* decode(tls)
      assert.deepStrictEqual(settings.warnings, [])
      const ca = authorities(settings.tls)
      assert.lengthOf(
        ca,
        [...(tls.ca_certificate ?? "").matchAll(/-----BEGIN/g)].length || (tls.ca_certificate ? 1 : 0)
      )
      const identity = clientIdentity(settings.tls)
      // Fails if OpenSSL cannot read them.
      createSecureContext({ ...identity, ca: [...ca] })
      if (identity === undefined) return
      assert.isTrue(identity.cert.startsWith(tls.client_key === encryptedRsa ? rsa.cert : client.cert))
    })
  )

  it.effect("keeps the certificates of authorities after that of the client", () =>
    Effect.gen(function* () {
      const given = { ...both, client_certificate: root.cert + intermediate.cert + client.cert }
      assert.strictEqual(
        clientIdentity((yield* decode(given)).tls)?.cert,
        client.cert + root.cert + intermediate.cert
      )
    })
  )
})

describe("tls refuses", () => {
  const der = Buffer.from(root.cert.replace(/-----.*-----|\s/g, ""), "base64")
  const cut = (pem: string) => pem.slice(0, pem.indexOf("-----END"))
  const damaged = (pem: string) => pem.replace(/\n(.{30}).{20}/, "\n$1")
  it.effect.each<readonly [what: string, tls: Tls, ...problems: ReadonlyArray<RegExp>]>([
    [
      "other text",
      { ca_certificate: "hello" },
      /^tls\.ca_certificate is not a certificate: it must be PEM text that begins with -----BEGIN CERTIFICATE-----\.$/
    ],
    [
      "the name of a file",
      { ca_certificate: "/etc/ssl/ca.pem" },
      /is the name of a file, but must be its content/
    ],
    ["bytes in DER", { ca_certificate: der.toString("utf8") }, /in DER or PKCS#12.*openssl x509 -inform der/],
    [
      "DER in Base64",
      { ca_certificate: der.toString("base64") },
      /in DER or PKCS#12.*openssl x509 -inform der/
    ],
    ["no end", { ca_certificate: cut(root.cert) }, /is incomplete: its line with -----END is missing/],
    [
      "a damaged certificate",
      { ca_certificate: damaged(root.cert) },
      /^tls\.ca_certificate cannot be read: its certificate is damaged/
    ],
    [
      "a damaged certificate among others",
      { ca_certificate: root.cert + damaged(other.cert) },
      /number 2 of its 2 certificates is damaged/
    ],
    [
      "a key as an authority",
      { ca_certificate: root.key },
      /^tls\.ca_certificate contains a private key, which is a secret: set it as tls\.client_key/
    ],
    [
      "a key beside the certificate",
      { ...both, client_certificate: client.cert + client.key },
      /^tls\.client_certificate contains a private key.*remove it there/
    ],
    [
      "a request for a certificate",
      { ...both, client_certificate: client.cert.replaceAll("CERTIFICATE", "CERTIFICATE REQUEST") },
      /PEM text of another kind \(CERTIFICATE REQUEST\), but must be a certificate/
    ],
    [
      "a certificate as a key",
      { ...both, client_key: client.cert },
      /^tls\.client_key is a certificate, but must be a private key/
    ],
    [
      "a key of OpenSSH",
      { ...both, client_key: client.key.replaceAll("PRIVATE", "OPENSSH PRIVATE") },
      /OpenSSH's own form.*ssh-keygen -p -m PKCS8/
    ],
    [
      "a damaged key",
      { ...both, client_key: damaged(client.key) },
      /^tls\.client_key cannot be read: it is damaged/
    ],
    [
      "a certificate without a key",
      { client_certificate: client.cert },
      /^tls\.client_certificate is set without tls\.client_key: set both, or neither\.$/
    ],
    [
      "a key without a certificate",
      { client_key: client.key },
      /^tls\.client_key is set without tls\.client_certificate/
    ],
    [
      "a passphrase alone",
      { client_key_passphrase: passphrase },
      /^tls\.client_key_passphrase is set without tls\.client_key/
    ],
    [
      "the key of another certificate",
      { ...both, client_key: other.key },
      /^tls\.client_key does not fit tls\.client_certificate/
    ],
    [
      "an encrypted key without a passphrase",
      { ...both, client_key: encrypted },
      /^tls\.client_key is encrypted: set tls\.client_key_passphrase\.$/
    ],
    ["a traditional one", { ...both, client_key: encryptedEc }, /^tls\.client_key is encrypted/],
    [
      "a wrong passphrase",
      { ...both, client_key: encrypted, client_key_passphrase: "wrong-Geheim" },
      /tls\.client_key_passphrase is wrong/
    ],
    [
      "a wrong passphrase of a traditional key",
      { ...both, client_key: encryptedEc, client_key_passphrase: "wrong-Geheim" },
      /tls\.client_key_passphrase is wrong/
    ],
    [
      "an address as the name",
      { server_name: "https://prometheus.internal" },
      /^tls\.server_name is .*without https:\/\/ and port/
    ],
    [
      "several mistakes at once",
      { ca_certificate: "hello", client_key: encrypted },
      /^tls\.ca_certificate/,
      /^tls\.client_key is set without/,
      /^tls\.client_key is encrypted/
    ]
  ])("%s", ([, tls, ...expected]) =>
    Effect.gen(function* () {
      const problems = yield* problemsOf(tls)
      assert.lengthOf(problems, expected.length, problems.join("\n"))
      for (const [index, pattern] of expected.entries()) assert.match(problems[index]!, pattern)
    })
  )

  it.effect("PKCS#12, as bytes and in Base64", () =>
    Effect.gen(function* () {
      // The beginning of such a file: a sequence with version 3 and PKCS#7 data.
      const pkcs12 = Buffer.from("30820a3f020103308209f506092a864886f70d010701a08209e6", "hex")
      for (const text of [pkcs12.toString("utf8"), pkcs12.toString("base64")]) {
        const [ofCertificate, ofKey] = yield* problemsOf({ client_certificate: text, client_key: text })
        assert.match(
          ofCertificate!,
          /^tls\.client_certificate is PKCS#12, .*openssl pkcs12 -in FILE -nokeys\.$/
        )
        assert.match(ofKey!, /^tls\.client_key is PKCS#12, .*openssl pkcs12 -in FILE -nocerts\.$/)
      }
    })
  )

  it.effect("a certificate that OpenSSL finds too weak", () =>
    Effect.gen(function* () {
      const weak = certificate({ keyType: "rsa", bits: 512 })
      const [problem] = yield* problemsOf({ client_certificate: weak.cert, client_key: weak.key })
      assert.match(problem!, /cannot be used: OpenSSL refuses them \(ee key too small\)/)
    })
  )
})

describe("certificates that are not valid now", () => {
  const now = Date.parse("2026-06-01T00:00:00Z")
  const days = (count: number) => new Date(now + count * 86_400_000)
  const past = { from: days(-20), to: days(-10) }
  const future = { from: days(10), to: days(20) }
  const warningsOf = (tls: Tls) => Effect.map(decode(tls), (settings) => expiryWarnings(settings.tls, now))

  it.effect("cause a warning with the time", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* warningsOf({ ...both, ca_certificate: root.cert }), [])
      assert.deepStrictEqual(yield* warningsOf({ ca_certificate: certificate(past).cert }), [
        "The certificate in tls.ca_certificate is no longer valid since 2026-05-22T00:00:00Z by the clock of this machine: renew it."
      ])
      assert.deepStrictEqual(
        yield* warningsOf({ ca_certificate: certificate(past).cert + certificate(future).cert + root.cert }),
        [
          "1 of the 3 certificates in tls.ca_certificate is no longer valid since 2026-05-22T00:00:00Z by the clock of this machine: renew it.",
          "1 of the 3 certificates in tls.ca_certificate is not valid before 2026-06-11T00:00:00Z by the clock of this machine: check the clock."
        ]
      )
      const expired = certificate(past)
      assert.deepStrictEqual(
        yield* warningsOf({ client_certificate: root.cert + expired.cert, client_key: expired.key }),
        [
          "The certificate in tls.client_certificate is no longer valid since 2026-05-22T00:00:00Z by the clock of this machine: renew it."
        ]
      )
    })
  )
})
