/** The PostgreSQL database that the processes of a cluster share, and its schema. */
import { readFileSync } from "node:fs"
import { homedir, userInfo } from "node:os"
import { join } from "node:path"
import type { ConnectionOptions } from "node:tls"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { passwordFor } from "../postgres/password.ts"
import { PASSWORD_PLACES } from "./clusterAddress.ts"
import { type ClusterAddress, ClusterError } from "./PartQueue.ts"

/** All tables are in this schema. */
const SCHEMA = "source_prometheus_cluster"

/** One is reserved for the locks, and one executes transactions while others query. */
const MAX_CONNECTIONS = 3

/** A client whose tables are in the schema, which exists. */
export const layerDatabase = (
  address: ClusterAddress,
  maxConnections = MAX_CONNECTIONS
): Layer.Layer<SqlClient.SqlClient, ClusterError, FileSystem.FileSystem> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const { host, port, tls, ...login } = connectionOf(new URL(address.url), process.env)
      const password = passwordFor({ ...login, host, port }, process.env).pipe(
        Effect.map((password) => Redacted.make(password ?? "")),
        Effect.provideService(FileSystem.FileSystem, files)
      )
      const config: PgClient.PgClientConfig = {
        host,
        port,
        database: login.database,
        username: login.user,
        // Read for each connection, because another program may renew it.
        password,
        connectTimeout: "10 seconds",
        keepAlive: "10 seconds",
        applicationName: "source-prometheus",
        startupParameters: { search_path: SCHEMA }
      }
      const expected = asClusterErrors(address)
      const ssl = yield* expected(encryptionFor(config, tls))
      const client = PgClient.make({ ...config, ssl, maxConnections })
      return Layer.effectDiscard(expected(createSchema)).pipe(
        Layer.provideMerge(PgClient.layerFrom(expected(client)))
      )
    })
  )

/** The parts of a URL. What it leaves out comes from the variables of PostgreSQL's own programs. */
const connectionOf = ({ hostname, pathname, port, searchParams, username }: URL, env: NodeJS.ProcessEnv) => {
  const of = (name: string, inUrl: string, variable: string, otherwise: string): string =>
    searchParams.get(name) || decodeURIComponent(inUrl) || env[variable] || otherwise
  const user = of("user", username, "PGUSER", userInfo().username)
  return {
    host: of("host", hostname.replace(/^\[(.*)\]$/, "$1"), "PGHOST", "localhost"),
    port: Number(of("port", port, "PGPORT", "5432")),
    user,
    database: of("dbname", pathname.slice(1), "PGDATABASE", user),
    tls: tlsOf(
      of("sslmode", "", "PGSSLMODE", "prefer"),
      of("sslrootcert", "", "PGSSLROOTCERT", join(homedir(), ".postgresql/root.crt"))
    )
  }
}

/** How a connection is encrypted. `isOptional`: not at all if the server cannot. */
interface Tls {
  readonly options: ConnectionOptions | false
  readonly isOptional: boolean
}

/** As libpq: only the modes that verify need the certificate of an authority. */
const tlsOf = (mode: string, rootPath: string): Tls => {
  if (mode === "disable" || mode === "allow") return { options: false, isOptional: false }
  const isOptional = mode === "prefer"
  if (mode !== "verify-ca" && mode !== "verify-full") {
    return { options: { rejectUnauthorized: false }, isOptional }
  }
  const ca = certificateAt(rootPath)
  return {
    options: {
      ...(ca === undefined ? {} : { ca }),
      ...(mode === "verify-ca" ? { checkServerIdentity: () => undefined } : {})
    },
    isOptional
  }
}

/** Without a file, the authorities that Node knows are trusted. */
const certificateAt = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** Connects once. Returns how to encrypt. */
const encryptionFor = (config: PgClient.PgClientConfig, { isOptional, options }: Tls) => {
  const connect = (ssl: ConnectionOptions | false) =>
    Effect.as(Effect.scoped(PgClient.makeClient({ ...config, ssl })), ssl)
  return connect(options).pipe(
    Effect.catchIf(
      (error) => isOptional && /does not support TLS/.test(causeOf(error) ?? ""),
      () => connect(false)
    ),
    Effect.provide(Reactivity.layer)
  )
}

const createSchema = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // Statements with IF NOT EXISTS still conflict with each other.
  yield* sql`SELECT pg_advisory_xact_lock(hashtext(${SCHEMA}))`.pipe(
    Effect.andThen(sql`CREATE SCHEMA IF NOT EXISTS ${sql(SCHEMA)}`),
    sql.withTransaction
  )
})

/**
 * Codes of a server that stops, starts, has too many connections or too little memory or space, or is the standby of another one
 * until it takes over.
 */
const passingCodes = /^(57P0[123]|53...|25006)$/

const isPassing = ({ cause, reason }: SqlError): boolean =>
  reason._tag === "ConnectionError" || passingCodes.test(codeOf(cause) ?? "")

const codeOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  const { code } = cause as { readonly code?: unknown }
  return codeOf(cause.cause) ?? (typeof code === "string" ? code : undefined)
}

/** Errors of the database, as users see them. Effect's cluster has some as defects. */
export const asClusterErrors =
  (address: ClusterAddress) =>
  <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E | SqlError, R>) =>
    effect.pipe(
      Effect.catchDefect((defect) => {
        const error = sqlErrorIn(defect)
        return error === undefined ? Effect.die(defect) : Effect.fail(error)
      }),
      Effect.catchIf(
        (error): error is SqlError => error._tag === "SqlError",
        (error) => Effect.fail(clusterErrorOf(address, error))
      )
    )

const sqlErrorIn = (error: unknown): SqlError | undefined => {
  if (isSqlError(error)) return error
  return error instanceof Error ? sqlErrorIn(error.cause) : undefined
}

/** What an error of the database means for the user. */
const clusterErrorOf = ({ text }: ClusterAddress, error: SqlError): ClusterError => {
  const { cause, message, reason } = error
  const why = causeOf(cause) ?? message
  switch (reason._tag) {
    case "AuthenticationError":
      return new ClusterError({
        message: `${text} does not accept the user or the password: ${why}. The password is taken from ${PASSWORD_PLACES}.`
      })
    case "AuthorizationError":
      return new ClusterError({
        message: `${text} does not permit the schema ${SCHEMA}: ${why}. Let the user create schemas in this database, or create it for the user: CREATE SCHEMA ${SCHEMA} AUTHORIZATION the_user.`
      })
    default:
      return new ClusterError({
        message: `The cluster's database ${text} cannot be used: ${why}.`,
        isPassing: isPassing(error)
      })
  }
}

/** The innermost message, without its full stop. */
const causeOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  const message = causeOf(cause.cause) ?? cause.message
  return message === "" ? (cause as NodeJS.ErrnoException).code : message.replace(/\.$/, "")
}
