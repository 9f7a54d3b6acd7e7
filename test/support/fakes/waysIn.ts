/** Servers that accept the credentials of one method each, until these are rotated: then they refuse the old ones. */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { createServer as createTlsServer, type TLSSocket } from "node:tls"
import { Effect, type Scope } from "effect"
import { OAuth2Server } from "oauth2-mock-server"
import { claimOf, expectedAuthorization } from "../awsSignatureCheck.ts"
import type { ChildOptions } from "../child.ts"
import { type SelfSigned, selfSigned } from "../selfSigned.ts"
import { type Ask, json, type Layer, text } from "./fake.ts"
import { googleIdentity } from "./googleIdentity.ts"

/** A server's side of a method, and how a client gets in. */
export interface WayIn {
  /** The keys of the configuration. */
  readonly config: object
  /** The same with the credentials that are valid after a rotation. */
  readonly renewed: () => object
  readonly env?: ChildOptions["env"]
  /** Lets only requests with valid credentials through. */
  readonly layer: Layer
  /** From now on, only new credentials are valid. */
  readonly rotate: () => void
  /** Which bytes of a request are secret now: none of them may reach another host. */
  readonly secrets: () => ReadonlyArray<string>
  /** How many requests had no valid credentials. */
  readonly refusals: () => number
  /** A server with TLS in front of an address, if the method needs one; its address. */
  readonly front?: (baseUrl: string) => Effect.Effect<string, never, Scope.Scope>
}

/** A kind of credentials. */
export interface WayInKind {
  readonly name: string
  /** Whether the program gets new credentials by itself. */
  readonly renewsItself: boolean
  /** How the message of refused credentials names what to check. */
  readonly key: RegExp
  readonly open: Effect.Effect<WayIn, never, Scope.Scope>
}

const secret = (): string => randomBytes(18).toString("base64url")

/** Lets requests through that satisfy a predicate. */
const gate = (
  isValid: (ask: Ask) => boolean | Promise<boolean>,
  refuse: () => ReturnType<typeof json>
): { readonly layer: Layer; readonly refusals: () => number } => {
  let refusals = 0
  return {
    refusals: () => refusals,
    layer: async (ask, next) => {
      if (await isValid(ask)) return next(ask)
      refusals++
      return refuse()
    }
  }
}

/** A method with a fixed secret. */
const fixed = (
  name: string,
  key: RegExp,
  configOf: (secret: string) => object,
  carries: (ask: Ask, secret: string) => boolean,
  refuse: () => ReturnType<typeof json>
): WayInKind => ({
  name,
  key,
  renewsItself: false,
  open: Effect.sync(() => {
    let current = secret()
    return {
      ...gate((ask) => carries(ask, current), refuse),
      config: configOf(current),
      renewed: () => configOf(current),
      rotate: () => {
        current = secret()
      },
      secrets: () => [current]
    }
  })
})

const basicOf = (password: string): string => `Basic ${Buffer.from(`reader:${password}`).toString("base64")}`

/** Runs a server for credentials on loopback until the scope closes. Its address. */
const credentialServer = (respond: () => object) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const server = createServer((_, response) => {
          response.setHeader("content-type", "application/json")
          response.end(JSON.stringify(respond()))
        })
        await once(server.listen(0, "127.0.0.1"), "listening")
        return server
      }),
      (server) =>
        Effect.promise(async () => {
          const closed = once(server, "close")
          server.close()
          server.closeAllConnections()
          await closed
        })
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  )

const oauth2: WayInKind = {
  name: "OAuth 2.0",
  renewsItself: true,
  key: /authentication\.scopes/,
  open: Effect.gen(function* () {
    const server = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const server = new OAuth2Server()
        await server.issuer.keys.generate("RS256")
        await server.start(0, "127.0.0.1")
        return server
      }),
      (server) => Effect.promise(() => server.stop())
    )
    const issued: Array<string> = []
    let revoked = 0
    server.service.on("beforeTokenSigning", (token: { payload: Record<string, unknown> }) => {
      token.payload.jti = `${issued.length}`
    })
    server.service.on("beforeResponse", ({ body }: { body: { access_token: string } }) => {
      issued.push(body.access_token)
    })
    const { port } = server.address()
    const config = {
      authentication: {
        auth_type: "oauth2",
        token_url: `http://127.0.0.1:${port}/token`,
        client_id: "client",
        client_secret: secret()
      }
    }
    return {
      ...gate(
        ({ headers }) => issued.slice(revoked).some((token) => headers.authorization === `Bearer ${token}`),
        () => json(401, { error: "invalid_token" }, { "www-authenticate": 'Bearer error="invalid_token"' })
      ),
      config,
      renewed: () => config,
      rotate: () => {
        revoked = issued.length
      },
      secrets: () => [config.authentication.client_secret, ...issued]
    }
  })
}

interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

const awsKeys = (): AwsKeys => ({
  accessKeyId: `AKIA${randomBytes(8).toString("hex").toUpperCase()}`,
  secretAccessKey: secret()
})

/** Verifies signatures as AWS does, with its own library. */
const awsGate = (current: () => AwsKeys) =>
  gate(
    async ({ body, headers, method, target }) => {
      const claim = claimOf(headers.authorization)
      const keys = current()
      if (claim === undefined || claim.accessKeyId !== keys.accessKeyId) return false
      if (keys.sessionToken !== headers["x-amz-security-token"]) return false
      const expected = await expectedAuthorization(
        { method, target, headers, body },
        { ...keys, sessionToken: keys.sessionToken },
        claim
      )
      return headers.authorization === expected
    },
    () => json(403, { message: "The security token included in the request is invalid." })
  )

const awsWithKeys: WayInKind = {
  name: "AWS, with keys of the configuration",
  renewsItself: false,
  key: /authentication\.access_key_id/,
  open: Effect.sync(() => {
    let keys = awsKeys()
    const configOf = ({ accessKeyId, secretAccessKey }: AwsKeys) => ({
      authentication: {
        auth_type: "aws_sigv4",
        region: "eu-central-1",
        access_key_id: accessKeyId,
        secret_access_key: secretAccessKey
      }
    })
    return {
      ...awsGate(() => keys),
      config: configOf(keys),
      renewed: () => configOf(keys),
      rotate: () => {
        keys = awsKeys()
      },
      secrets: () => [keys.accessKeyId, keys.secretAccessKey]
    }
  })
}

const awsOfMachine: WayInKind = {
  name: "AWS, with keys of the machine",
  renewsItself: true,
  key: /authentication\.access_key_id/,
  open: Effect.gen(function* () {
    let keys: AwsKeys & { readonly sessionToken: string } = { ...awsKeys(), sessionToken: secret() }
    const address = yield* credentialServer(() => ({
      AccessKeyId: keys.accessKeyId,
      SecretAccessKey: keys.secretAccessKey,
      Token: keys.sessionToken,
      Expiration: new Date(Date.now() + 3_600_000).toISOString()
    }))
    const config = { authentication: { auth_type: "aws_sigv4", region: "eu-central-1" } }
    return {
      ...awsGate(() => keys),
      config,
      renewed: () => config,
      env: {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: address,
        AWS_EC2_METADATA_DISABLED: "true",
        AWS_CONFIG_FILE: "/nonexistent",
        AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
        AWS_ACCESS_KEY_ID: undefined,
        AWS_PROFILE: undefined
      },
      rotate: () => {
        keys = { ...awsKeys(), sessionToken: secret() }
      },
      secrets: () => [keys.accessKeyId, keys.secretAccessKey, keys.sessionToken]
    }
  })
}

const google = (
  name: string,
  way: (identity: { readonly host: string; readonly key: object }) => Pick<WayIn, "config" | "env">
): WayInKind => ({
  name,
  renewsItself: true,
  key: /authentication\.service_account_key/,
  open: Effect.map(googleIdentity(), (identity) => {
    const { config, env } = way(identity)
    return {
      layer: identity.layer,
      refusals: () => identity.refusals,
      config,
      renewed: () => config,
      env: {
        CLOUDSDK_CONFIG: "/nonexistent",
        GCE_METADATA_HOST: undefined,
        GOOGLE_APPLICATION_CREDENTIALS: undefined,
        ...env
      },
      rotate: identity.revoke,
      secrets: () => identity.issued
    }
  })
})

/** Whether TLS' handshake verified a client's certificate, as nginx says it. */
const nginxError = (title: string): string => {
  const body = `<html>\r\n<head><title>${title}</title></head>\r\n<body><center><h1>400 Bad Request</h1></center></body>\r\n</html>\r\n`
  return `HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
}

/**
 * TLS in front of an address, until the scope closes. Like nginx, it says over HTTP whose certificate it refuses. `trusted` are
 * the certificates that it accepts, if it wants any.
 */
export const tlsFront = (baseUrl: string, server: SelfSigned, trusted?: () => ReadonlyArray<string>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const { hostname, port } = new URL(baseUrl)
        const sockets = new Set<TLSSocket>()
        const front = createTlsServer(
          { ...server, requestCert: trusted !== undefined, rejectUnauthorized: false },
          (socket) => {
            sockets.add(socket)
            socket.on("error", () => {})
            const { raw } = socket.getPeerCertificate()
            const certificate = raw?.toString("base64")
            const accepted = trusted?.().map((pem) => pem.replace(/-----[^-]*-----|\s/g, ""))
            if (accepted !== undefined && !accepted.includes(certificate ?? "")) {
              socket.once("data", () => socket.end(nginxError("400 The SSL certificate error")))
              return
            }
            const upstream = connect(Number(port), hostname)
            upstream.on("error", () => socket.destroy())
            socket.on("close", () => upstream.destroy())
            upstream.on("close", () => socket.destroy())
            socket.pipe(upstream)
            upstream.pipe(socket)
          }
        )
        await once(front.listen(0, "127.0.0.1"), "listening")
        return { front, sockets }
      }),
      ({ front, sockets }) =>
        Effect.promise(async () => {
          const closed = once(front, "close")
          front.close()
          for (const socket of sockets) socket.destroy()
          await closed
        })
    ),
    ({ front, sockets }) => ({
      baseUrl: `https://127.0.0.1:${(front.address() as AddressInfo).port}`,
      /** Ends all connections, as a server does that reads its configuration again. */
      disconnect: () => {
        for (const socket of sockets) socket.destroy()
        sockets.clear()
      }
    })
  )

const clientCertificate: WayInKind = {
  name: "client certificate",
  renewsItself: false,
  key: /tls\.client_certificate/,
  open: Effect.sync(() => {
    const server = selfSigned()
    let client = selfSigned()
    let disconnect = () => {}
    const configOf = ({ cert, key }: SelfSigned) => ({
      tls: { ca_certificate: server.cert, client_certificate: cert, client_key: key }
    })
    return {
      layer: ((ask, next) => next(ask)) as Layer,
      // They are refused before they arrive here.
      refusals: () => 1,
      config: configOf(client),
      renewed: () => configOf(client),
      rotate: () => {
        client = selfSigned()
        disconnect()
      },
      secrets: () => [client.cert],
      front: (baseUrl: string) =>
        Effect.map(
          tlsFront(baseUrl, server, () => [client.cert]),
          (front) => {
            disconnect = front.disconnect
            return front.baseUrl
          }
        )
    }
  })
}

/** All of them. */
export const waysIn: ReadonlyArray<WayInKind> = [
  fixed(
    "basic",
    /basic_auth_user, basic_auth_pass/,
    (password) => ({ basic_auth_user: "reader", basic_auth_pass: password }),
    ({ headers }, password) => headers.authorization === basicOf(password),
    () => ({ ...text(401, "Unauthorized"), headers: { "www-authenticate": "Basic" } })
  ),
  fixed(
    "bearer token",
    /authentication\.token/,
    (token) => ({ authentication: { auth_type: "bearer_token", token } }),
    ({ headers }, token) => headers.authorization === `Bearer ${token}`,
    () => json(401, { message: "invalid token" }, { "www-authenticate": "Bearer" })
  ),
  fixed(
    "key in a header",
    /headers/,
    (key) => ({ headers: [{ name: "X-API-Key", value: key }] }),
    ({ headers }, key) => headers["x-api-key"] === key,
    () => json(401, { message: "invalid key" })
  ),
  fixed(
    "key in the address",
    /parameters/,
    (key) => ({ parameters: [{ name: "api_key", value: key }] }),
    ({ target }, key) => new URL(target, "http://fake").searchParams.get("api_key") === key,
    () => json(401, { message: "invalid key" })
  ),
  oauth2,
  awsWithKeys,
  awsOfMachine,
  google("Google, with a key of the configuration", ({ key }) => ({
    config: { authentication: { auth_type: "google", service_account_key: JSON.stringify(key) } }
  })),
  google("Google, with the credentials of the machine", ({ host }) => ({
    config: { authentication: { auth_type: "google" } },
    env: { GCE_METADATA_HOST: host }
  })),
  clientCertificate
]
