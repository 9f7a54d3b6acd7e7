/** Errors of PostgreSQL, of libpq and of DuckDB's extension as sentences that say what to do. */
import { DestinationError } from "../Destination.ts"
import { duckdbError, type ErrorContext, textOf } from "../tables/duckdbError.ts"

/** What an error means: the end of a sentence that begins with the destination. */
interface Meaning {
  readonly words: RegExp
  readonly says: (line: string) => string
  /** Whether it concerns one stream only. */
  readonly isOfStream?: true
}

const KEPT = "what was committed is kept"

/** In this order, because a lost connection is also the reason of other errors. */
const meanings: ReadonlyArray<Meaning> = [
  {
    words: /no space left on device|disk full|53100/i,
    says: () => `cannot be written: the disk is full. Make room and run again: ${KEPT}.`
  },
  {
    words: /another run has taken over the schema/,
    says: () =>
      `is written by another run now, because the connection that held the lock of this one ended. This run writes nothing more; ${KEPT}.`
  },
  {
    words:
      /password authentication failed|no password supplied|empty password|pg_hba\.conf|authentication failed/i,
    says: (line) =>
      `refuses this user: ${line}. Check the user, and the password in PGPASSWORD, the password file or the service file.`
  },
  {
    words: /database "[^"]*" does not exist/i,
    says: (line) => `cannot be opened: ${line}. Create it (createdb), or name another one.`
  },
  {
    words: /definition of service|service file/i,
    says: (line) => `cannot be opened: ${line}. Correct the address, or the service file (PGSERVICEFILE).`
  },
  { words: /role "[^"]*" does not exist/i, says: (line) => `cannot be opened: ${line}. Name another user.` },
  {
    words:
      /invalid (connection option|URI|port|integer value|sslmode|value for)|missing "="|could not parse/i,
    says: (line) => `cannot be opened: ${line}. Correct the address.`
  },
  {
    words: /certificate|SSL (error|is not enabled|connection|SYSCALL)|does not support SSL/i,
    says: (line) => `cannot be reached safely: ${line}. Check sslmode and sslrootcert.`
  },
  {
    words: /too many (clients|connections)|remaining connection slots/i,
    says: (line) => `accepts no more connections: ${line}. Close some, and run again: ${KEPT}.`
  },
  {
    words: /starting up|shutting down|in recovery mode|not yet accepting connections/i,
    says: (line) => `cannot be reached now: ${line}. Run again in a moment: ${KEPT}.`
  },
  {
    words:
      /server closed the connection|terminating connection|connection (to server )?was lost|no connection to the server|could not (receive|send) data|connection (reset|not open)|broken pipe|connection timed out|terminated abnormally/i,
    says: (line) => `lost the connection: ${line}. Check that the server runs, and run again: ${KEPT}.`
  },
  {
    words:
      /could not translate host name|connection refused|no route to host|network is unreachable|timeout expired|could not connect|unable to connect|connection to server/i,
    says: (line) => `cannot be reached: ${line}. Check the host and the port, and that the server runs.`
  },
  {
    words: /read-only transaction|cannot execute .* in a read-only|in recovery/i,
    says: (line) =>
      `is read-only: ${line}. Write to its primary server, as a user who may write (default_transaction_read_only).`
  },
  {
    words: /permission denied|must be owner|must be member/i,
    says: (line) => `cannot be used: ${line}. Grant this user what is missing, or choose another schema.`
  },
  {
    words: /could not serialize|deadlock detected/i,
    says: (line) => `was changed by another program at the same time: ${line}. Run again: ${KEPT}.`
  },
  {
    words: /statement timeout|lock timeout|idle.in.transaction/i,
    says: (line) =>
      `ended a statement: ${line}. Raise the server's timeout for this user, and run again: ${KEPT}.`
  }
]

/** The reason in the text: the first message of the server or of libpq, in one line, without the address. */
const reasonIn = (text: string, secrets: ReadonlyArray<string>): string => {
  const plain = secrets.reduce(
    (text, secret) => (secret === "" ? text : text.replaceAll(secret, "***")),
    text
  )
  const server = /(?:ERROR|FATAL|PANIC):\s+([^\n]+)/.exec(plain)?.[1]
  const libpq = /(?:Unable to connect to Postgres at ".*?": |Failed to [^:]*(?:"[^"]*")?: )([\s\S]*)/.exec(
    plain
  )?.[1]
  return (server ?? libpq ?? plain).trim().split("\n")[0]!.trim().replace(/\.$/, "")
}

/** What ends by itself, or is over when the transaction is repeated. */
const PASSING =
  /could not serialize|deadlock detected|server closed the connection|terminating connection|connection (to server )?was lost|no connection to the server|could not (receive|send) data|connection (reset|not open|refused|timed out)|broken pipe|terminated abnormally|timeout expired|starting up|shutting down|not yet accepting connections|too many (clients|connections)|remaining connection slots/i

const passing = new WeakSet<object>()

/** Whether an error of `postgresError` may be gone a moment later: a transaction that may be repeated is worth another attempt. */
export const isPassing = (error: object): boolean => passing.has(error)

/** An error of a statement. `secrets` are texts that it may contain. */
export const postgresError = (
  context: ErrorContext & { readonly secrets: () => ReadonlyArray<string> },
  error: unknown
): DestinationError => {
  const found = meaningOf(context, error)
  if (PASSING.test(textOf(error))) passing.add(found)
  return found
}

const meaningOf = (context: Parameters<typeof postgresError>[0], error: unknown): DestinationError => {
  const text = textOf(error)
  const meaning = meanings.find(({ words }) => words.test(text))
  if (meaning === undefined) {
    const masked = context
      .secrets()
      .reduce((text, secret) => (secret === "" ? text : text.replaceAll(secret, "***")), text)
    return duckdbError(context, new Error(masked))
  }
  const message = `${context.path} ${meaning.says(reasonIn(text, context.secrets()))}`
  return new DestinationError({ message, ...(meaning.isOfStream === true ? {} : { isFatal: true }) })
}
