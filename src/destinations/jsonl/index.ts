/** `jsonl:DIR`. */
import type { DestinationKind } from "../DestinationKind.ts"
import { ownsFile } from "../folder/ownsFile.ts"
import { layer } from "./JsonLinesFolder.ts"
import { refusalOfSettings } from "./repeatedRows.ts"

export const jsonLines: DestinationKind = {
  scheme: "jsonl",
  place: "DIR",
  contents: "a file per stream",
  takesGzip: true,
  suggestion: (text) =>
    /\.jsonl?(\.gz)?$/i.test(text) ? ": JSON lines go into a folder with one file per stream" : undefined,
  replacesRows: false,
  refusal: refusalOfSettings,
  owns: ownsFile,
  layer
}
