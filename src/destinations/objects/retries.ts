/**
 * How often requests to S3 are repeated. The client's own rule allows some 35 repetitions for all requests together, so a store
 * that is busy for long would end a run although each request succeeds in the end. Here, each request counts for itself.
 */

/** A busy store responds with 503 for some seconds, and one that restarts accepts no connections. */
const ATTEMPTS = 8

/** The first pause. Each one may be twice as long as the one before. */
const PAUSE_MILLIS = 100
const BUSY_MILLIS = 1000
const MOST_MILLIS = 20_000

interface Token {
  readonly getRetryCount: () => number
  readonly getRetryDelay: () => number
}

const tokenOf = (count: number, delayMillis: number): Token => ({
  getRetryCount: () => count,
  getRetryDelay: () => delayMillis
})

/** The rule in the form that the client needs. */
export const retries = {
  acquireInitialRetryToken: () => Promise.resolve(tokenOf(0, 0)),
  /** Rejects if the request is not to be repeated. The client reports the error of the request then. */
  refreshRetryTokenForRetry: async (
    token: Token,
    { errorType, retryAfterHint }: { readonly errorType: string; readonly retryAfterHint?: Date }
  ): Promise<Token> => {
    const count = token.getRetryCount()
    const isPassing = errorType === "THROTTLING" || errorType === "TRANSIENT"
    if (!isPassing || count + 1 >= ATTEMPTS) throw new Error("This request is not repeated.")
    const most = Math.min(MOST_MILLIS, (errorType === "THROTTLING" ? BUSY_MILLIS : PAUSE_MILLIS) * 2 ** count)
    const asked = retryAfterHint === undefined ? 0 : retryAfterHint.getTime() - Date.now()
    // Different ones, so that requests that were refused together do not come together again.
    return tokenOf(count + 1, Math.max(Math.random() * most, Math.min(asked, MOST_MILLIS)))
  },
  recordSuccess: () => {}
}
