/** Which redirects are followed. */

/** How many redirects of one request are followed. */
export const MAX_REDIRECTS = 5

/** Whether a redirect stays where credentials may be sent: on the same origin, or from http to https on the same host. */
export const keepsCredentials = (source: URL, target: URL): boolean =>
  target.origin === source.origin ||
  (target.hostname === source.hostname && source.protocol === "http:" && target.protocol === "https:")

/** An address without its query. */
export const withoutQuery = ({ host, pathname, protocol }: URL): string => `${protocol}//${host}${pathname}`
