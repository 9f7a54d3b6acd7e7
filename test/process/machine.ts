/** What tests of a process need of the machine. */

/**
 * Whether other users, mounts and limits can be had: root on Linux. In CI they have to be there, so what needs them fails
 * instead of being left out.
 */
export const isRoot =
  process.platform === "linux" && (process.getuid?.() === 0 || process.env.CI !== undefined)

/** A user that has no entry in the list of users. */
export const STRANGER = 12345
