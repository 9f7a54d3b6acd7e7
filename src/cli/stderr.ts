/** Standard error, which stays silent in protocol mode. */

/** Disables Node's own warnings, and ignores write errors. */
export const quietStderr = ([verb = ""]: ReadonlyArray<string>): void => {
  // Only one of Node's warnings matters to users: certificates are not checked. Each sync logs it.
  process.removeAllListeners("warning")
  // These two print no warnings, and opening the stream takes time.
  if (verb !== "spec" && verb !== "read") process.stderr.on("error", () => {})
}
