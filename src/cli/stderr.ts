/** Standard error, which the protocol keeps silent. */

/** Keeps Node from writing there, and continues if it cannot be written. */
export const quietStderr = ([verb = ""]: ReadonlyArray<string>): void => {
  // The one warning of Node that concerns users, that certificates are not checked, is logged by each sync.
  process.removeAllListeners("warning")
  // These two write nothing there, and opening the stream takes time.
  if (verb !== "spec" && verb !== "read") process.stderr.on("error", () => {})
}
