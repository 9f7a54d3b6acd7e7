/** The password of a PostgreSQL user: from PGPASSWORD, or from a password file as PostgreSQL's own programs read it. */
import { homedir } from "node:os"
import { join } from "node:path"
import { Effect, FileSystem } from "effect"

/** The connection that a password is for. */
export interface Login {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** The password for a connection; undefined if none is given. */
export const passwordFor = Effect.fnUntraced(function* (login: Login, environment: NodeJS.ProcessEnv) {
  if (environment.PGPASSWORD) return environment.PGPASSWORD
  const files = yield* FileSystem.FileSystem
  const path = environment.PGPASSFILE || join(environment.HOME || homedir(), ".pgpass")
  const text = yield* Effect.orElseSucceed(files.readFileString(path), () => "")
  return passwordIn(text, login)
})

/** The password of the first line of a password file that matches. */
export const passwordIn = (text: string, { database, host, port, user }: Login): string | undefined => {
  const wanted = [host, String(port), database, user]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#")) continue
    const fields = fieldsOf(line)
    const matches = wanted.every((value, i) => fields[i] === "*" || unescape(fields[i]) === value)
    if (matches && fields[4]) return unescape(fields[4])
  }
  return undefined
}

/** The fields of a line, separated by colons that are not escaped. Later colons belong to nothing. */
const fieldsOf = (line: string): ReadonlyArray<string> =>
  Array.from(line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g), ([, field = ""]) => field)

const unescape = (field: string | undefined): string | undefined => field?.replace(/\\(.)/g, "$1")
