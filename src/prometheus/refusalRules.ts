/** What refusals mean: one table of statuses and texts. */
import { loginPage, needsLogin } from "./loginPage.ts"
import type { Reason } from "./PrometheusError.ts"

/** A rule applies if the refusal meets all conditions that the rule has. */
export interface Rule {
  readonly statuses?: ReadonlyArray<number>
  /** Words of the server's text. What the text quotes is left out: it says nothing about the error. */
  readonly words?: ReadonlyArray<RegExp>
  /** The text as it begins, with what it quotes. */
  readonly beginning?: RegExp
  /** Words of a web page: its title does not always say what is wrong. Applies to any other text, too. */
  readonly page?: RegExp
  /** Whether it must be JSON with an `error`, as Prometheus' own errors are. */
  readonly hasError?: boolean
  readonly reason: Reason
  /** What the user can do, if the rule knows more than the reason. */
  readonly advice?: string
}

const between = (first: number, last: number): ReadonlyArray<number> =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** The statuses for errors of a query. Their texts may be those of any limit. */
const ofQueries = [...between(200, 299), 400, 422, 500]

/** Words of a limit, whatever it limits. */
const anyLimit: ReadonlyArray<RegExp> = [
  /\bexceed/i,
  /too (many|large|long|big|wide|expensive|complex|costly)/i,
  /\blimit(s|ed)?\b/i,
  /\bmaximum\b/i,
  /\bmax[- ]/i,
  /at most/i,
  /no more than/i,
  /(greater|longer|larger|bigger|more) than/i,
  /not enough memory/i,
  /try (a )?(smaller|shorter)/i,
  /reduc(e|ing) the/i,
  /narrow(er)? /i
]

export const needsHttps =
  "The server expects TLS there: set base_url to the same address with https instead of http."

export const needsClientCertificate =
  "The server wants a client certificate: set tls.client_certificate and tls.client_key."

export const refusesClientCertificate =
  "The server refuses the client certificate: it may have expired, be meant for something else, or come from an authority that the server does not accept. Check tls.client_certificate. If its authority is not the root, add its own certificate after it."

/** The statuses with which AWS refuses a signature. */
const signatureStatuses = [400, 401, 403]

/** AWS says that the time of a signature is not its own. */
const awsClock: ReadonlyArray<RegExp> = [
  /signature (has )?expired/i,
  /signature (is )?not yet (current|valid)/i,
  /RequestTimeTooSkewed|RequestExpired|RequestInTheFuture/,
  /(?<!in the )request (has|is) expired/i,
  /difference between the request time and the (current|server'?s?) time/i
]

/** Whether a text of AWS says so. */
export const isAboutClock = (text: string): boolean => awsClock.some((pattern) => pattern.test(text))

/**
 * The first rule that applies gives the reason. Texts come first, since servers and releases use different statuses for them. Of
 * the texts, limits come first: a request that is refused for its size must never be taken for a wrong one.
 */
export const rules: ReadonlyArray<Rule> = [
  // ---- the connection and the request ---------------------------------------------------------------------
  {
    statuses: [400, 403, 421, 426, 497],
    page: /HTTP request was sent to HTTPS|HTTP request to an HTTPS server|plain HTTP to an? (SSL|TLS)|combination of host and port requires TLS|client sent plain HTTP|HTTPS is required/i,
    reason: "Tls",
    advice: needsHttps
  },
  // nginx verifies the certificate before it responds.
  { statuses: [400, 495], page: /SSL certificate error/i, reason: "Tls", advice: refusesClientCertificate },
  {
    statuses: [400, 401, 403, 495, 496],
    page: /No required SSL certificate was sent|client certificate (is )?(required|missing)|(requires?|needs?|missing|no valid) (an? )?(SSL |TLS |valid )?client certificate/i,
    reason: "Tls",
    advice: needsClientCertificate
  },
  {
    statuses: [400, 413, 431, 494],
    page: /(header|cookie)s? (is |are |or cookie )?too (large|long|big)|request header fields? (too|exceeds)|size of the request headers|request too long|request line (is )?too/i,
    reason: "TooLongRequest"
  },
  { statuses: [414, 431, 494], reason: "TooLongRequest" },
  {
    words: [
      /too long query; got/i,
      /err-mimir-max-query-expression-size/i,
      /query (string|expression|text) (is )?too (long|large)/i
    ],
    reason: "TooLongRequest"
  },
  { words: [/unavailable with Prometheus Agent/i], reason: "NothingStored" },
  {
    statuses: [401, 403],
    words: [/no org id/i],
    reason: "Unauthorized",
    advice:
      "The server has several tenants. Add X-Scope-OrgID to headers, with the name of the tenant to read."
  },
  // ---- AWS ------------------------------------------------------------------------------------------------------
  {
    statuses: signatureStatuses,
    words: [/Missing ?Authentication ?Token/i, /equal-sign\) in Authorization header/i],
    reason: "Unauthorized",
    advice:
      "AWS wants requests with a signature: set authentication.auth_type to aws_sigv4, with authentication.region. If it is, check that the path of base_url is that of the workspace: /workspaces/ws-…."
  },
  {
    statuses: signatureStatuses,
    words: awsClock,
    reason: "Unauthorized",
    advice:
      "AWS accepts a signature for some minutes only: correct the clock of this machine, or of the server that checks signatures."
  },
  {
    statuses: signatureStatuses,
    words: [/security token (included in the request )?(is|has) expired/i, /\bExpired ?Token/i],
    reason: "Unauthorized",
    advice:
      "The temporary access key has expired: set authentication.access_key_id, authentication.secret_access_key and authentication.session_token to a new one, or renew the credentials of this machine that are used instead."
  },
  {
    statuses: signatureStatuses,
    words: [
      /security token included in the request/i,
      /\b(UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId)/,
      /access key id you provided does not exist/i
    ],
    reason: "Unauthorized",
    advice:
      "AWS does not know the access key: check authentication.access_key_id, and authentication.session_token, which temporary keys need and others must not have; or the credentials of this machine, if those are empty."
  },
  {
    statuses: signatureStatuses,
    words: [/Credential should be scoped to/i],
    reason: "Unauthorized",
    advice:
      "The signature is for another region or service: check authentication.region, and authentication.service, which is aps for Amazon Managed Service for Prometheus."
  },
  {
    statuses: signatureStatuses,
    words: [/request signature/i, /\b(SignatureDoesNotMatch|InvalidSignature|IncompleteSignature)/],
    reason: "Unauthorized",
    advice:
      "Check authentication.secret_access_key, authentication.region and authentication.service. A proxy must not change what is signed: the address with its query, its host, and the body."
  },
  {
    statuses: signatureStatuses,
    words: [/not authorized to perform:? ?[\w-]+:/i, /\bAccessDenied(Exception)?\b/],
    reason: "Forbidden",
    advice:
      "AWS knows the access key, but its user or role may not do this: allow it in a policy (AmazonPrometheusQueryAccess has all actions that are needed), or set authentication.role_arn to a role that may."
  },

  // ---- time -------------------------------------------------------------------------------------------------
  { words: [/query timed out in query queue/i], reason: "Unavailable" },
  {
    statuses: ofQueries,
    words: [
      /error while dialing/i,
      /connection refused/i,
      /no such host/i,
      /code = Unavailable/i,
      /store-consistency-check-failed/i,
      /bucket-index-too-old/i
    ],
    reason: "Unavailable"
  },
  {
    words: [
      /query timed out in/i,
      /timeout exceeded (during|while|before)/i,
      /context deadline exceeded/i,
      /DeadlineExceeded/i,
      /deadline[_ ]exceeded/i,
      /failed to receive any data (in|within)/i,
      /stream terminated by RST_STREAM/i,
      /query duration limit/i,
      /execution time (limit )?exceed/i
    ],
    reason: "TooSlow"
  },

  // ---- size -------------------------------------------------------------------------------------------------
  {
    words: [
      /number of matching (time ?)?series exceeds/i,
      /exceeded series limit/i,
      /max(imum)? number of (time ?)?series/i,
      /err-mimir-max-(fetched-)?series/i,
      /would load too many series/i,
      /too many (time ?)?series/i,
      /maxResponseSeries/i,
      /maxSeriesPerAggrFunc/i,
      /cardinality limit/i,
      /series limit (is |was )?exceeded/i
    ],
    reason: "TooManySeries"
  },
  {
    words: [
      /exceeded maximum resolution/i,
      /too many points for the given/i,
      /would (load|read) too many samples/i,
      /exceeded (sample|chunks?|bytes) limit/i,
      /cannot select more than/i,
      /cannot process more than/i,
      /not enough memory for processing/i,
      /message larger than max/i,
      /time range exceeds the limit/i,
      /max(imum)? number of (chunks|samples)/i,
      /aggregated (chunks|data) size limit/i,
      /response size exceeds/i,
      /err-mimir-max-/i
    ],
    reason: "TooLarge"
  },
  { statuses: [413], reason: "TooLarge" },
  // The load of all requests together.
  {
    statuses: ofQueries,
    words: [
      /too many (concurrent|outstanding|simultaneous|parallel|requests|queries|connections)/i,
      /concurrency limit/i,
      /(rate|request) limit/i,
      /number of (concurrent )?(queries|requests)/i,
      /quota exceeded/i,
      /throttl/i
    ],
    reason: "RateLimited"
  },

  // ---- the server's data ------------------------------------------------------------------------------------
  // The names in front are those of compression, between the servers.
  {
    words: [
      /(?<!(snappy|gzip|zlib|flate|lz4|s2): )(checksum mismatch|(invalid|bad|wrong|unexpected) checksum|\bcorrupt(ed|ion|ions)?\b)/i,
      /checksum (did|does) not match/i,
      /cannot populate chunk/i,
      /segment index \d+ out of range/i,
      /(segment|head chunk file) doesn't include enough bytes/i,
      /reading chunk length failed/i,
      /invalid (magic number|chunk format|chunk encoding|uvarint|bit pattern|segment header)/i,
      /\bget series \d+: block/i,
      /input\/output error/i,
      /cannot (decompress|unpack|unmarshal|read) (the )?(index |metaindex |data |timestamps |values )?block/i,
      /cannot unmarshal (metric ?Name|TSID|metaindex|timestamps|values|rowsCount|marshalType|scale|first)/i
    ],
    reason: "Damaged"
  },
  {
    words: [
      /\b(chunks?|blocks?|segment|index|tsdb)\b.*(unexpected EOF|no such file or directory|specified key does not exist)/i
    ],
    reason: "Damaged"
  },

  // ---- the query, for certain -----------------------------------------------------------------------------
  {
    statuses: [200, 400, 422],
    words: [/\d: parse error: /i, /parse error at char/i, /parse error: unexpected /i],
    reason: "InvalidQuery"
  },
  // Errors of the evaluation, by Prometheus and by VictoriaMetrics. They may depend on the time.
  {
    statuses: ofQueries,
    words: [
      /duplicate (time )?series (for the match group|on the (left|right) side)/i,
      /multiple matches for labels/i,
      /many-to-many matching not allowed/i
    ],
    reason: "FailedExpression",
    advice:
      "One side of the operator has several series with the same values of the labels that are matched: aggregate it with sum by (…), match more labels with on (…), or use group_left or group_right if the other side has one series for them."
  },
  {
    statuses: ofQueries,
    words: [/vector cannot contain metrics with the same label ?set/i, /duplicate output time ?series/i],
    reason: "FailedExpression",
    advice:
      "Two series of the result have the same labels: select one metric only, aggregate with sum by (…), or do not overwrite the label that distinguishes them."
  },
  {
    statuses: ofQueries,
    words: [
      /\bscalar value \S{1,40} (over|under)flows/i,
      /\b(parameter|ratio) value is NaN/i,
      /invalid (smoothing|trend) factor/i
    ],
    reason: "FailedExpression",
    advice:
      "A parameter of a function has no usable value at this time: use a number, or give it a value with scalar(… or vector(1))."
  },

  // ---- any limit whose words are not known ------------------------------------------------------------------
  { statuses: ofQueries, words: anyLimit, hasError: true, reason: "TooLarge" },
  { statuses: [400, 422], words: anyLimit, reason: "TooLarge" },

  // ---- the query, if no limit is mentioned --------------------------------------------------------
  { statuses: [400, 422], beginning: /^invalid parameter ["'](query|match\[\])["']/, reason: "InvalidQuery" },
  {
    statuses: [200, 400, 422],
    words: [
      /\bunparsed data/i,
      /(unknown|unsupported) func(tion)?\b/i,
      /unexpected (character|identifier|token|left|right)\b/i,
      /error parsing regexp/i,
      /invalid regexp?\b/i,
      /invalid (regular expression|(source|destination) label name) in label_/i,
      /(cannot|failed to|could not|unable to) (parse|compile) (the )?(query|promql|regexp?|regular expression|selector|matchers?|expression)\b(?! (range|res|time|dur|step))/i,
      /must contain at least one non-empty matcher/i,
      /invalid expression type/i
    ],
    reason: "InvalidQuery"
  },

  // ---- statuses -----------------------------------------------------------------------------------------------
  { statuses: [401], reason: "Unauthorized" },
  { statuses: [402, 403], reason: "Forbidden" },
  { statuses: [404, 405, 410], reason: "WrongPath" },
  {
    statuses: [400],
    words: [/unsupported path requested/i, /missing -http\.pathPrefix/i],
    reason: "WrongPath"
  },
  {
    statuses: [407],
    reason: "Unauthorized",
    advice:
      "A proxy in front of the server wants credentials of its own. Set them in proxy_url if it is a forward proxy, or Proxy-Authorization in headers."
  },
  {
    statuses: [511],
    reason: "Unauthorized",
    advice: "The network of this machine wants a login before it lets requests through: log in there."
  },
  {
    statuses: [421],
    reason: "WrongPath",
    advice: "Check the host of base_url: the server that responds there does not serve this host."
  },
  {
    statuses: [451],
    reason: "Forbidden",
    advice:
      "The operator of the server may not serve it here, for legal reasons. Ask the operator for another address."
  },
  { statuses: [429], reason: "RateLimited" },
  // A proxy that got no response in time; 522 and 524 are Cloudflare's.
  { statuses: [504, 524], reason: "Timeout" },
  {
    statuses: [...between(520, 523), 530],
    reason: "Unavailable",
    advice:
      "Cloudflare cannot reach the server behind it: check that the server runs, and that its firewall lets Cloudflare connect."
  },
  {
    statuses: [525, 526],
    reason: "Unavailable",
    advice: "Cloudflare cannot use TLS with the server behind it: check that server's certificate."
  },
  { statuses: [408, 499, ...between(500, 599)], reason: "Unavailable" },
  // The query is valid, but a source of the server did not respond.
  { statuses: [422], words: [/expanding series/i, /rpc error/i, /context canceled/i], reason: "Unavailable" },
  { statuses: between(200, 299), hasError: true, reason: "Refused" },
  { statuses: between(200, 399), page: loginPage, reason: "NotPrometheus", advice: needsLogin },
  { statuses: between(200, 399), reason: "NotPrometheus" },
  { reason: "Refused" }
]
