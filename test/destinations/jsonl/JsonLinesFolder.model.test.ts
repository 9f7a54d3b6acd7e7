/** A folder of JSON lines: what it has after any runs, killed or not. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { describe, it } from "@effect/vitest"
import { fileName } from "../../../src/destinations/folder/fileName.ts"
import { layer } from "../../../src/destinations/jsonl/JsonLinesFolder.ts"
import { choices } from "../../choices.ts"
import { runs } from "../../support/runs.ts"
import { type Format, onFullDisk, type Row, randomRuns } from "../drive.ts"

interface Line {
  readonly stream: string
  readonly data: { readonly series_id: string; readonly time: string; readonly value: number }
}

const readLines = (folder: string, stream: string, isGzip: boolean): ReadonlyArray<Line> => {
  const path = join(folder, `${fileName(stream)}.jsonl${isGzip ? ".gz" : ""}`)
  if (!existsSync(path)) return []
  const bytes = readFileSync(path)
  const text = isGzip ? gunzipSync(bytes).toString() : bytes.toString()
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line)
}

const format = (gzip: boolean, labelColumns = true): Format => ({
  onlyAppends: true,
  layer: (folder) => layer({ folder, source: "http://mock", labelColumns, gzip }),
  rows: async (folder, stream) =>
    readLines(folder, stream, gzip).map(
      ({ data }): Row => ({ key: `${data.series_id} ${data.time}`, value: `${data.value}` })
    )
})

describe("JsonLinesFolder", () => {
  for (const gzip of [false, true]) {
    it.effect.prop(
      `has what was committed and nothing else, whatever happens${gzip ? ", as gzip" : ""}`,
      [choices],
      ([choices]) => randomRuns(format(gzip, choices.oneIn(2)), choices, 21_600),
      { timeout: 240_000, arbitrary: { runs: runs(25) } }
    )
    it.effect.prop(
      `has what was committed and nothing else on a disk that is full${gzip ? ", as gzip" : ""}`,
      [choices],
      ([choices]) => randomRuns(onFullDisk(format(gzip)), choices, 21_600, { changes: 120 }),
      { timeout: 240_000, arbitrary: { runs: runs(12) } }
    )
  }
})
