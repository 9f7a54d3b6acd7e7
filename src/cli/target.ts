/** Where a run puts what it reads, as `--to` says it. */
import { Result } from "effect"
import type { DestinationKind } from "../destinations/DestinationKind.ts"
import { expandHome, homeOf } from "../text/homePath.ts"
import { destinationKinds, kindOf, placesText } from "./destinations.ts"

/** A destination that is not open yet. */
export interface Target {
  readonly kind: DestinationKind
  readonly path: string
}

/** Reads what `--to` says, such as `parquet:DIR`; fails with a sentence for the user. */
export const parseTarget = (text: string): Result.Result<Target, string> => {
  const colon = text.indexOf(":")
  const kind = kindOf(text.slice(0, Math.max(0, colon)))
  const path = text.slice(colon + 1)
  if (kind !== undefined && isElsewhere(path)) {
    return Result.fail(
      `--to is ${JSON.stringify(text)}, but must name a path on this machine: nothing is written anywhere else.${localPath(path)}`
    )
  }
  if (kind !== undefined && path !== "") {
    return Result.mapBoth(expandHome(path, homeOf(process.env)), {
      onSuccess: (path) => ({ kind, path }),
      onFailure: (why) => `--to is ${JSON.stringify(text)}, but ${why}.`
    })
  }
  return Result.fail(
    `--to is ${JSON.stringify(text)}, but must be ${placesText(destinationKinds)}${suggestion(text, kind)}.`
  )
}

/** Whether a path would be taken for an address, or for no file at all, by those who read the data. */
const isElsewhere = (path: string): boolean => /^(:memory:|[a-z][a-z0-9+.-]+:)/i.test(path)

/** How a file is named that is called like an address. One letter and a colon is a drive. */
const localPath = (path: string): string =>
  path.startsWith(":") || path.includes("://") ? "" : ` A file of that name is ./${path}.`

/** What was meant, as far as the name tells. */
const suggestion = (text: string, kind: DestinationKind | undefined): string => {
  if (kind !== undefined || kindOf(text) !== undefined) return ", and the path is missing"
  return destinationKinds.map(({ suggestion }) => suggestion(text)).find((end) => end !== undefined) ?? ""
}

export const targetText = ({ kind, path }: Target): string => `${kind.scheme}:${path}`
