/** The destination that `--to` names. */
import { dirname, join, resolve } from "node:path"
import { Effect, FileSystem, Result } from "effect"
import { DestinationError } from "../destinations/Destination.ts"
import type { DestinationKind } from "../destinations/DestinationKind.ts"
import { expandHome } from "../text/homePath.ts"
import { destinationKinds, kindOf, placesText } from "./destinations.ts"

/** A destination that is not open yet. */
export interface Target {
  readonly kind: DestinationKind
  readonly path: string
  /** Whether the place is not a path on this machine. */
  readonly isRemote: boolean
}

/** Parses a value of `--to`, such as `parquet:DIR`. Fails with a sentence for the user. */
export const parseTarget = (text: string): Result.Result<Target, string> => {
  const colon = text.indexOf(":")
  const kind = kindOf(text.slice(0, Math.max(0, colon)))
  const path = text.slice(colon + 1)
  const remote = kind?.remotePlace?.(path)
  if (kind !== undefined && remote !== undefined) {
    return Result.map(remote, (path) => ({ kind, path, isRemote: true }))
  }
  if (kind !== undefined && isElsewhere(path)) {
    return Result.fail(
      `--to is ${JSON.stringify(text)}, but must name a path on this machine.${localPath(path)}`
    )
  }
  if (kind !== undefined && path !== "") {
    return Result.mapBoth(expandHome(path), {
      onSuccess: (path) => ({ kind, path, isRemote: false }),
      onFailure: (why) => `--to is ${JSON.stringify(text)}, but ${why}.`
    })
  }
  return Result.fail(
    `--to is ${JSON.stringify(text)}, but must be ${placesText(destinationKinds)}${suggestion(text, kind)}.`
  )
}

/** Whether other tools would take a path for a URL, or for standard input. */
const isElsewhere = (path: string): boolean => /^(:memory:|[a-z][a-z0-9+.-]+:)/i.test(path)

/** How to write a file name that looks like a URL. A letter and a colon are a drive. */
const localPath = (path: string): string =>
  path.startsWith(":") || path.includes("://") ? "" : ` A file of that name is ./${path}.`

/** A suggestion of the intended value, guessed from the text. */
const suggestion = (text: string, kind: DestinationKind | undefined): string => {
  if (kind !== undefined || kindOf(text) !== undefined) return ", and the path is missing"
  return destinationKinds.map(({ suggestion }) => suggestion?.(text)).find((end) => end !== undefined) ?? ""
}

export const targetText = ({ kind, path }: Target): string => `${kind.scheme}:${path}`

/** Fails if a destination would be inside another one, which would delete it as unknown files. */
export const checkTarget = Effect.fnUntraced(function* (target: Target) {
  if (target.isRemote) return
  const files = yield* FileSystem.FileSystem
  for (let folder = dirname(resolve(target.path)); ; folder = dirname(folder)) {
    const isDestination = yield* Effect.orElseSucceed(
      files.exists(join(folder, "_state/_about.json")),
      () => false
    )
    if (isDestination) {
      return yield* new DestinationError({
        message: `${targetText(target)} would be inside ${folder}, which is another destination. Choose another path.`
      })
    }
    if (folder === dirname(folder)) return
  }
})
