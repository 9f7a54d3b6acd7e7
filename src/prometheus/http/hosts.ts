/** Kinds of hosts, by their name as `URL` writes it: addresses in their shortest form. */

/** Whether a host is this machine. */
export const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" ||
  hostname.endsWith(".localhost") ||
  /^127\.\d+\.\d+\.\d+$/.test(hostname) ||
  hostname === "[::1]"

/** Whether Google alone serves a host. */
export const isGoogle = (hostname: string): boolean => /(^|\.)googleapis\.com$/.test(hostname)
