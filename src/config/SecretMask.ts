/** Hides secret values in texts that leave the process: logs, traces and status messages. */

const MASK = "****"

/**
 * Makes a function that masks every occurrence of the secrets, longest first, also as they appear inside JSON,
 * addresses and the header of basic authentication.
 */
export const makeMask = (secrets: ReadonlyArray<string>): ((text: string) => string) => {
  const forms = new Set(
    secrets
      .filter((secret) => secret !== "")
      .flatMap((secret) => [
        secret,
        JSON.stringify(secret).slice(1, -1),
        encodeURIComponent(secret.toWellFormed())
      ])
  )
  const ordered = Array.from(forms).sort((a, b) => b.length - a.length)
  return (text) => ordered.reduce((masked, secret) => masked.replaceAll(secret, MASK), text)
}
