/** Why a response to a remote read cannot be decoded. */

/**
 * - `damaged`: the bytes are cut short, changed, or of another shape
 * - `unsupported`: an encoding that is not known here; the server may be able to send samples instead of chunks
 * - `oversized`: more than fits into memory
 * - `foreign`: the external labels are those of another server
 */
export type RemoteReadErrorKind = "damaged" | "unsupported" | "oversized" | "foreign"

/** A response to a remote read that cannot be decoded. Its message is the part of a sentence after "cannot be read:". */
export class RemoteReadError extends Error {
  override readonly name = "RemoteReadError"
  readonly kind: RemoteReadErrorKind

  constructor(kind: RemoteReadErrorKind, message: string) {
    super(message)
    this.kind = kind
  }
}

export const damaged = (message: string): RemoteReadError => new RemoteReadError("damaged", message)

export const unsupported = (message: string): RemoteReadError => new RemoteReadError("unsupported", message)

export const oversized = (message: string): RemoteReadError => new RemoteReadError("oversized", message)
