/**
 * AWS' library for access keys of machines and roles. It is large: this module is loaded only when keys are fetched, and is the
 * only one that imports it.
 *
 * What the library would keep, retry, or log by itself is left to the program. Its errors are passed on as they are.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import { subscribe } from "node:diagnostics_channel"
import type { ClientRequest } from "node:http"
import {
  fromEnv,
  fromHttp,
  fromIni,
  fromInstanceMetadata,
  fromProcess,
  fromTemporaryCredentials,
  fromTokenFile
} from "@aws-sdk/credential-providers"
import { awsRequestHandler } from "./awsRequestHandler.ts"
import type { AwsKeys } from "./awsSignature.ts"

/** Variables of the process. */
export type Environment = Readonly<Record<string, string | undefined>>

/** An access key that may expire. */
export interface FetchedKeys extends AwsKeys {
  readonly expiresAtMillis: number | undefined
}

/** The library is called with this. Nothing is kept: it reads files and variables as they are then. */
export interface LibraryOptions {
  readonly region: string
  readonly environment: Environment
  /** Sends its requests, but for those to endpoints of the machine itself. */
  readonly fetch: typeof globalThis.fetch
  /** Called with each secret in its requests. */
  readonly addSecret: (secret: string) => void
}

const clientConfigOf = ({ addSecret, fetch, region }: LibraryOptions) => ({
  region,
  requestHandler: awsRequestHandler(fetch, addSecret),
  // The first may only bring the server's time.
  maxAttempts: 2
})

/** Keys as the library has them. */
interface Credentials extends Omit<AwsKeys, "sessionToken"> {
  readonly sessionToken?: string
  readonly expiration?: Date
}

const fromLibrary = ({
  accessKeyId,
  expiration,
  secretAccessKey,
  sessionToken
}: Credentials): FetchedKeys => ({
  accessKeyId,
  secretAccessKey,
  sessionToken,
  expiresAtMillis: expiration?.getTime()
})

/** No source of this machine has keys. Other files recognise it by its name. */
export class NoKeys extends Error {
  override readonly name = "NoKeys"
  /** Whether a source is set up, and may have some in a moment. */
  readonly mayPass: boolean

  constructor(details: ReadonlyArray<string>, mayPass: boolean) {
    super(details.join("; "))
    this.mayPass = mayPass
  }
}

/** Where keys of a machine may be. */
interface Source {
  readonly provide: () => Promise<Credentials>
  /** What sets it up here, if anything does: then a message says why there are no keys. */
  readonly variable?: string | undefined
  /** The variable that is missing for it. */
  readonly missing?: string | undefined
  /** Whether it is a server of this machine. */
  readonly isEndpoint?: boolean
}

/**
 * The sources in the order of AWS' library. Its own chain would keep keys, and fetch those again and again that this machine's
 * clock takes for expired: it cannot be used where the clock may be wrong.
 */
const sourcesOf = (options: LibraryOptions): ReadonlyArray<Source> => {
  const { environment } = options
  const clientConfig = clientConfigOf(options)
  const isSet = (...names: ReadonlyArray<string>) => names.find((name) => environment[name])
  const init = { clientConfig, parentClientConfig: { ...clientConfig }, ignoreCache: true, logger: quiet }
  const profile = isSet("AWS_PROFILE")
  const key = isSet("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
  const tokenFile = isSet("AWS_WEB_IDENTITY_TOKEN_FILE")
  const container = isSet("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
  const isDisabled = !["", "false"].includes(environment.AWS_EC2_METADATA_DISABLED ?? "")
  return [
    // A profile that is named comes before the keys of the environment.
    ...(profile === undefined
      ? [{ provide: fromEnv(init), variable: key, missing: otherOf(key, KEY_VARIABLES) }]
      : []),
    { provide: fromIni(init), variable: profile },
    { provide: fromProcess(init) },
    {
      provide: fromTokenFile(init),
      variable: tokenFile,
      missing: isSet("AWS_ROLE_ARN") === undefined ? "AWS_ROLE_ARN" : undefined
    },
    ...(container !== undefined
      ? [
          {
            // After a timeout of its own, the library would only print a warning.
            provide: fromHttp({ ...init, maxRetries: 0, timeout: 0 }),
            variable: container,
            isEndpoint: true
          }
        ]
      : isDisabled
        ? []
        : [{ provide: fromInstanceMetadata(init), isEndpoint: true }])
  ]
}

const KEY_VARIABLES = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]

const otherOf = (one: string | undefined, names: ReadonlyArray<string>) => names.find((name) => name !== one)

/** What matters is in the library's errors. */
const quiet = { trace: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** The keys of this machine. Rejected with `NoKeys`, or with an error of the library. */
export const machineKeys = async (options: LibraryOptions): Promise<FetchedKeys> => {
  const details: Array<string> = []
  for (const { isEndpoint = false, missing, provide, variable } of sourcesOf(options)) {
    try {
      return fromLibrary(await (isEndpoint ? inTime(provide) : provide()))
    } catch (error) {
      if (!isEndpoint && !isSkipped(error)) throw error
      const text = messageOf(error)
        .replace(/^(Error: )+/, "")
        .replace(/\.$/, "")
      if (variable !== undefined) {
        details.push(
          `${variable} is set, but ${missing === undefined ? `fails: ${text}` : `${missing} is not`}`
        )
      } else if (isEndpoint) details.push(`there is no instance metadata: ${text}`)
      if (isEndpoint) throw new NoKeys(details, variable !== undefined && !/status: 4\d\d$/.test(text))
    }
  }
  throw new NoKeys(details, false)
}

/** After such an error, the library tries the next source. */
const isSkipped = (error: unknown): boolean =>
  error instanceof Error && "tryNextLink" in error && error.tryNextLink === true

/** The parser of JSON quotes the text, which may be a secret. */
const messageOf = (error: unknown): string =>
  error instanceof SyntaxError
    ? "the response is not JSON (it is not shown)"
    : error instanceof Error
      ? error.message
      : String(error)

/** An endpoint of the machine responds within milliseconds, if there is one. */
const ENDPOINT_TIMEOUT_MILLIS = 5000

/** The requests of a call to the library, which has no way to end them: they would keep the process running. */
const requests = new AsyncLocalStorage<Set<ClientRequest>>()

subscribe("http.client.request.start", (message) => {
  requests.getStore()?.add((message as { readonly request: ClientRequest }).request)
})

const inTime = <A>(provide: () => Promise<A>): Promise<A> => {
  const sent = new Set<ClientRequest>()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no response within ${ENDPOINT_TIMEOUT_MILLIS / 1000} s`))
      for (const request of sent) request.destroy()
    }, ENDPOINT_TIMEOUT_MILLIS)
  })
  return Promise.race([requests.run(sent, provide), late]).finally(() => clearTimeout(timer))
}

/** Under which AWS lists who uses a role. */
const SESSION_NAME = "source-prometheus"

/** The keys of a role, which other keys may assume. */
export const roleKeys = async (
  { accessKeyId, secretAccessKey, sessionToken }: AwsKeys,
  role: string,
  externalId: string | undefined,
  options: LibraryOptions
): Promise<FetchedKeys> =>
  fromLibrary(
    await fromTemporaryCredentials({
      masterCredentials: {
        accessKeyId,
        secretAccessKey,
        ...(sessionToken === undefined ? {} : { sessionToken })
      },
      params: {
        RoleArn: role,
        RoleSessionName: SESSION_NAME,
        ...(externalId === undefined ? {} : { ExternalId: externalId })
      },
      clientConfig: clientConfigOf(options)
    })()
  )
