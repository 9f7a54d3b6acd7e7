/** The errors of S3 as sentences that say what to do. */
import { excerptLine } from "../../text/excerpt.ts"
import { DestinationError } from "../Destination.ts"

/** What was to be done. */
export interface Attempt {
  /** Such as `read` or `written`. */
  readonly what: string
  /** Its address, such as `s3://BUCKET/KEY`. */
  readonly url: string
  readonly bucket: string
  /** The permission that it needs. */
  readonly permission: string
  /** The configured endpoint; undefined for Amazon's own. */
  readonly endpoint: string | undefined
}

/** The name of an error: S3's code, or that of a connection. */
export const nameOf = (error: unknown): string => {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    if (
      "code" in cause &&
      typeof cause.code === "string" &&
      /^(E|CERT|UNABLE|SELF|DEPTH|ERR_)/.test(cause.code)
    )
      return cause.code
    if (cause.name !== "Error" && cause.name !== "AggregateError") return cause.name
  }
  return error instanceof AggregateError ? nameOf(error.errors[0]) : "Error"
}

/** The status of the response; undefined if there was none. */
export const statusOf = (error: unknown): number | undefined => {
  const metadata = (error as { readonly $metadata?: { readonly httpStatusCode?: number } } | null)?.$metadata
  return metadata?.httpStatusCode
}

const KEPT = "what was committed is kept"

const SOURCES =
  "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile that AWS_PROFILE names, or a role of EC2, ECS or EKS"

type Sentence = (attempt: Attempt, text: string) => string

/** Sentences by the names of errors. */
const sentences: ReadonlyArray<readonly [names: RegExp, sentence: Sentence]> = [
  [
    /^(CredentialsProviderError|TokenProviderError|ProviderError)$/,
    (_, text) => {
      // Other texts may contain what a program printed.
      const profile =
        /profile [\w.@+-]+ could not be found|Profile [\w.@+-]+ (was not|not) found|SSO session[^.]*expired/i.exec(
          text
        )
      return `there are no AWS credentials${profile === null ? "" : ` (${profile[0]})`}. Set ${SOURCES}.`
    }
  ],
  [
    /^(InvalidAccessKeyId|UnrecognizedClientException|InvalidClientTokenId|XAdminUserNotFound|InvalidSecurity)$/,
    ({ endpoint }) => `${serverOf(endpoint)} does not know the access key. Check ${SOURCES}.`
  ],
  [
    /^(SignatureDoesNotMatch|AuthFailure|XAmzContentSHA256Mismatch)$/,
    () =>
      `the signature is wrong. Check that the secret belongs to the access key (AWS_SECRET_ACCESS_KEY, or the profile).`
  ],
  [
    /^(ExpiredToken|ExpiredTokenException|TokenRefreshRequired|RequestExpired)$/,
    () => `the AWS credentials have expired. Renew them, and run again: ${KEPT}.`
  ],
  [
    /^InvalidToken$/,
    () => `the session token is not valid. Set AWS_SESSION_TOKEN to the one of this access key, or remove it.`
  ],
  [
    /^(RequestTimeTooSkewed|RequestInTheFuture|InvalidSignatureTime)$/,
    () => `the clock of this machine is wrong. Set it, and run again: ${KEPT}.`
  ],
  [
    /^(NoSuchBucket|InvalidBucketName|NotFound)$/,
    ({ bucket, endpoint }) =>
      `there is no bucket ${bucket} at ${serverOf(endpoint)}. Create it, or choose another one (and check AWS_ENDPOINT_URL_S3 if it is in another store).`
  ],
  [
    /^(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException|AuthorizationQueryParametersError|IncorrectEndpoint|TemporaryRedirect|301|307)$/,
    (_, text) => {
      const expected = /expecting '([a-z0-9-]+)'/i.exec(text)?.[1]
      return `the bucket is in another region. Set AWS_REGION${expected === undefined ? " to that of the bucket" : `=${expected}`}.`
    }
  ],
  [
    /^(AccessDenied|AllAccessDisabled|AccountProblem|Forbidden|403|UnauthorizedAccess|Unauthorized|InvalidObjectState)$/,
    ({ permission, url }) => `access denied. Allow ${permission} on ${url}, or choose another place.`
  ],
  [
    /^(NotImplemented|MethodNotAllowed|501|405)$/,
    ({ endpoint }) =>
      `${serverOf(endpoint)} does not support this request, or a condition of it (If-Match, If-None-Match), without which two runs could lose data. Choose another store, or a newer release of it.`
  ],
  [
    /^(QuotaExceeded|XMinioStorageFull|InsufficientStorage|StorageFull|507|XMinioAdminBucketQuotaExceeded|EntityTooLarge)$/,
    () => `the store is full, or its quota is used up. Make room and run again: ${KEPT}.`
  ],
  [
    /^(SlowDown|ServiceUnavailable|InternalError|RequestTimeout|TooManyRequestsException|Throttling\w*|500|502|503|504|429)$/,
    ({ endpoint }, text) =>
      `${serverOf(endpoint)} is too busy or has an internal error, also when asked again: ${text}. Run again later: ${KEPT}.`
  ],
  [
    /^(CERT_|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|ERR_TLS)/,
    ({ endpoint }) =>
      `the certificate of ${serverOf(endpoint)} is not trusted. If a certificate authority of your own has issued it, set AWS_CA_BUNDLE or NODE_EXTRA_CA_CERTS to its file.`
  ],
  [
    /^(E(CONN\w*|NOTFOUND|AI_AGAIN|TIMEDOUT|HOSTUNREACH|NETUNREACH|PIPE|PROTO)|TimeoutError|NetworkingError|ERR_\w+)$/,
    ({ endpoint }, text) =>
      `${serverOf(endpoint)} cannot be reached: ${text}. Check the network and AWS_ENDPOINT_URL_S3, and run again: ${KEPT}.`
  ]
]

const serverOf = (endpoint: string | undefined): string => endpoint ?? "Amazon S3"

/** Names of errors that concern one object, and not the entire store. */
const ofOneObject = /^(NoSuchKey|NoSuchUpload|EntityTooLarge|KeyTooLongError|InvalidObjectState)$/

/** Whether the client found no error of S3 in a response: it was empty, or a page. */
const isOpaque = (error: unknown): boolean =>
  error instanceof Error && /^UnknownError$|Deserialization error/.test(error.message)

/** The text of an error. */
const textOf = (error: unknown, status: number | undefined): string =>
  isOpaque(error) && status !== undefined
    ? `status ${status}`
    : excerptLine(error instanceof Error ? error.message : String(error)).replace(/\.$/, "")

/** The error of a request. */
export const s3Error = (attempt: Attempt, error: unknown): DestinationError => {
  const name = nameOf(error)
  const status = statusOf(error)
  const text = textOf(error, status) || name
  const known =
    sentences.find(([names]) => names.test(name)) ??
    sentences.find(([names]) => status !== undefined && names.test(`${status}`))
  const reason =
    known !== undefined
      ? known[1](attempt, text)
      : isOpaque(error)
        ? `${serverOf(attempt.endpoint)} does not respond as S3 does (${text}). Check AWS_ENDPOINT_URL_S3, and the proxy if there is one.`
        : `${name}: ${text}.`
  return new DestinationError({
    message: `${attempt.url} cannot be ${attempt.what}: ${reason}`,
    ...((known !== undefined || isOpaque(error)) && !ofOneObject.test(name) ? { isFatal: true } : {})
  })
}
