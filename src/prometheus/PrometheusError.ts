/** Why requests fail, and the policy for each reason: one table for action, attribution and advice. */
import { Schema } from "effect"

/**
 * The first reaction to a failed request.
 *
 * - `retry`: the same request may succeed later
 * - `split`: smaller requests may succeed: by time, down to one point, then by series; or by series at once
 * - `stream`: this stream fails, others continue
 * - `sync`: no stream can be read
 */
export type ErrorAction = "retry" | "split" | "stream" | "sync"

/** The cause of a failure: the user's configuration, a passing condition, or a bug. */
export type ErrorAttribution = "config" | "transient" | "system"

/** The policy for one reason. */
export interface ErrorPolicy {
  readonly action: ErrorAction
  /** How a request is split first, if at all: at once, or after all retries have failed. */
  readonly splitBy?: "time" | "series"
  /** Whether the server may refuse these points because its own data is damaged: the others can then still be read. */
  readonly mayBeDamage?: boolean
  /** Whether the request fails because of some of its points, not its size. The points before the first of them can be read. */
  readonly failsAtPoints?: boolean
  /** What fails after all retries and splits. */
  readonly onExhausted: "stream" | "sync"
  readonly attribution: ErrorAttribution
  /**
   * How often it is retried at most before the server has ever responded, where a person waits for the result. The address is
   * then likely to be wrong.
   */
  readonly firstRetries?: number
  /** What the user can do, as a sentence. */
  readonly advice: string
}

// What rows of the table share.
const failsSync = { action: "sync", onExhausted: "sync", attribution: "config" } as const
const failsStream = { action: "stream", onExhausted: "stream", attribution: "config" } as const
const retries = { action: "retry", onExhausted: "stream", attribution: "transient" } as const
const splits = { action: "split", onExhausted: "stream", attribution: "config" } as const

// The type names the reasons only: declarations would otherwise repeat every policy.
const tableOf = <R extends string>(policies: Readonly<Record<R, ErrorPolicy>>) => policies

const policies = tableOf({
  Unreachable: {
    ...retries,
    onExhausted: "sync",
    advice: "Check base_url, that the server runs, and that this machine may connect to it."
  },
  /** Nothing listens at the address, or its host does not exist. */
  NoServer: {
    ...retries,
    onExhausted: "sync",
    firstRetries: 2,
    advice: "Check base_url, that the server runs, and that this machine may connect to it."
  },
  Tls: {
    ...failsSync,
    advice:
      "Check that base_url has the right scheme (http or https) and that the server's certificate is valid and trusted here."
  },
  /** The proxy between here and the server does not connect them. */
  ProxyRefused: {
    ...failsSync,
    advice: "Check proxy_url, or the environment variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
  },
  Timeout: {
    ...retries,
    splitBy: "time",
    advice: "If the server is only slow, raise request_timeout (and that of proxies) or lower concurrency."
  },
  Unauthorized: {
    ...failsSync,
    advice: "Check basic_auth_user, basic_auth_pass, authentication and headers."
  },
  /** The credentials are known, and may be allowed to read other streams. */
  Forbidden: {
    ...failsStream,
    advice:
      "The server does not let these credentials read this. Check what they may read, and basic_auth_user, basic_auth_pass, authentication and headers."
  },
  WrongPath: {
    ...failsSync,
    advice:
      "Check the path of base_url: it must be where /api/v1 starts, for example https://example.com/prometheus."
  },
  NoLabelApi: {
    ...failsSync,
    advice:
      "Metrics cannot be listed without the endpoints for labels: allow them, or name each metric in metrics.include without patterns."
  },
  /** The server has no remote read, or hides it. Its query API may still respond. */
  NoRemoteRead: {
    ...failsStream,
    advice:
      "Set api to auto or query_range: the server, or a proxy in front of it, does not offer /api/v1/read or does not allow it."
  },
  /** The server may be able to send samples instead of these chunks. */
  UnknownEncoding: {
    ...failsStream,
    advice:
      "Set api to auto or query_range: the server sends samples in a form that remote read does not support here. If it is a current Prometheus, please report this with its version."
  },
  /** Series would get another identity than before. */
  OtherReplica: {
    ...failsStream,
    advice:
      "Set base_url to one replica: a load balancer may have passed requests to several. Or remove this label from external_labels in the server's configuration. If external_labels changed during the sync, start it again."
  },
  /** Metrics and queries can still be read. */
  UnlistedGroup: {
    ...failsStream,
    advice:
      "The metrics of a group cannot be listed without the endpoints for labels: allow them, or name each metric in metrics.include without patterns."
  },
  NoTableApi: {
    ...failsStream,
    advice: "This server does not offer this table: remove it from tables."
  },
  NotPrometheus: {
    ...failsSync,
    advice:
      "Check base_url: the server there is not Prometheus. A web page is often a login page, which needs a token: see authentication."
  },
  /** Prometheus in agent mode. */
  NothingStored: {
    ...failsSync,
    advice:
      "A Prometheus in agent mode only forwards samples, and stores nothing that can be read. Set base_url to the server that it forwards to: see remote_write in its configuration."
  },
  Redirected: {
    ...failsSync,
    advice: "Set base_url to the address that it redirects to."
  },
  RateLimited: {
    ...retries,
    advice: "Lower concurrency, or raise the limit of the server."
  },
  Disconnected: {
    ...retries,
    splitBy: "time",
    mayBeDamage: true,
    advice:
      "The server or a proxy in front of it ended the connection: see its log, since it may have failed on this request."
  },
  Unavailable: {
    ...retries,
    splitBy: "time",
    mayBeDamage: true,
    advice: "The server or a proxy in front of it has a problem: try again later."
  },
  BrokenResponse: {
    ...retries,
    splitBy: "time",
    mayBeDamage: true,
    advice:
      "Something between the server and here may cut or change responses: check proxies and their timeouts."
  },
  Corrupted: {
    ...failsStream,
    attribution: "transient",
    advice:
      "Its samples may be wrong; the next sync reads them again. Something between the server and here changes responses: check proxies, or set compression to none."
  },
  Oversized: {
    ...failsStream,
    advice:
      "Prometheus does not send responses of that size: check which server is at base_url, or use selector to read fewer series."
  },
  LongLabels: {
    ...failsStream,
    advice:
      "Leave the label out with exclude_labels, or its series with selector, or shorten it where it is made."
  },
  UnexpectedSample: {
    ...splits,
    splitBy: "time",
    attribution: "system",
    advice:
      "A cache in front of the server may have responded. If there is none, please report this with the server's name and version."
  },
  PartialResponse: {
    ...retries,
    advice:
      "Check that all of the server's sources respond. If the warning is known and harmless, set partial_data to accept."
  },
  TooLongRequest: {
    ...failsStream,
    advice:
      "The server, or a proxy in front of it, refuses requests of this length. Check headers and selector: a token or a cookie may be the longest part."
  },
  TooLarge: {
    ...splits,
    splitBy: "time",
    advice: "Use selector to read fewer series, or raise the limit of the server."
  },
  TooManySeries: {
    ...splits,
    splitBy: "series",
    advice: "Use selector to read fewer series, or raise the limit of the server."
  },
  TooSlow: {
    ...splits,
    splitBy: "time",
    attribution: "transient",
    advice:
      "The server may be overloaded: lower concurrency, or raise request_timeout and the server's own limit (query.timeout)."
  },
  Damaged: {
    ...splits,
    splitBy: "time",
    mayBeDamage: true,
    attribution: "system",
    advice:
      "Part of the server's own data is damaged: see its log, and repair or remove the block that it names."
  },
  InvalidQuery: {
    ...failsStream,
    advice: "Check selector, and whether this server supports the syntax."
  },
  /** A valid expression that cannot be evaluated at some points. */
  FailedExpression: {
    ...splits,
    splitBy: "time",
    failsAtPoints: true,
    advice: "Correct the expression."
  },
  Refused: {
    ...splits,
    splitBy: "time",
    mayBeDamage: true,
    advice: "The server refuses this query: check selector, and the limits of the server."
  }
})

/** Why a request failed. */
export type Reason = keyof typeof policies

const reasons = Object.keys(policies) as [Reason, ...Array<Reason>]

/** A request to the server failed. `message` is for a person: what happened, where, and what to do. */
export class PrometheusError extends Schema.TaggedError<PrometheusError>()("PrometheusError", {
  reason: Schema.Literals(reasons),
  /** What happened, as a sentence. */
  summary: Schema.String,
  /** What the user can do, if more is known than the reason. */
  advice: Schema.optionalKey(Schema.String),
  /** Milliseconds that the server asked to wait before the next try. */
  retryAfterMillis: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    return `${this.summary} ${this.advice ?? this.policy.advice}`
  }

  /** The same error with another summary. */
  saying(summary: string): PrometheusError {
    const { advice, reason } = this
    return new PrometheusError({ reason, summary, ...(advice === undefined ? {} : { advice }) })
  }

  get policy(): ErrorPolicy {
    return policies[this.reason]
  }
}
