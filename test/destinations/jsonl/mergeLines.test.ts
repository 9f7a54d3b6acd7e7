/** Merging with so little memory that it takes several passes, beside a Map. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync, gzipSync } from "node:zlib"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mergeLines } from "../../../src/destinations/jsonl/mergeLines.ts"
import { formatTime } from "../../../src/text/formatTime.ts"
import { type Choices, choices } from "../../choices.ts"
import { start, temporaryFolder } from "../folder/drive.ts"

const before = '{"stream":"s","data":{"series_id":"'

const randomLines = (choices: Choices, most: number): ReadonlyArray<string> =>
  choices.list(most, (index) => {
    const series = `${choices.below(3)}`.repeat(32)
    const label = choices.pick(["", '"labels":{"time":"2026-01-01T00:00:00Z"},', '"a":"\\"time\\":\\"",'])
    const time = formatTime(start + choices.below(4) * 86_400_000 + choices.pick([0, 500, 61_000]))
    return `${before}${series}",${label}"time":"${time}","value":${index}}}\n`
  })

const keyOf = (line: string): string => {
  const { data } = JSON.parse(line) as {
    readonly data: { readonly series_id: string; readonly time: string }
  }
  return `${data.series_id} ${data.time}`
}

describe("mergeLines", () => {
  it.effect.prop(
    "keeps older lines that no later one replaces, and the last of those",
    [choices],
    ([choices]) =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const isGzip = choices.oneIn(2)
        const put = (name: string, lines: ReadonlyArray<string>) => {
          const path = join(folder, name)
          const bytes = isGzip ? gzipSync(lines.join("")) : Buffer.from(lines.join(""))
          // More than what counts is there.
          writeFileSync(path, Buffer.concat([bytes, Buffer.from("half a li")]))
          return { path, bytes: bytes.length }
        }
        const older = Array.from(
          new Map(randomLines(choices, 40).map((line) => [keyOf(line), line])).values()
        )
        const later = randomLines(choices, 40)
        const target = join(folder, "target")
        const { bytes, rows } = yield* mergeLines(
          [put("older", older)],
          [put("later", later.slice(0, 10)), put("latest", later.slice(10))],
          target,
          { isGzip, seriesAt: before.length },
          choices.between(1, 50)
        )
        const written = existsSync(target) ? readFileSync(target) : Buffer.alloc(0)
        assert.strictEqual(bytes, written.length)
        const text = isGzip && bytes > 0 ? gunzipSync(written).toString() : written.toString()
        const wanted = new Map([...older, ...later].map((line) => [keyOf(line), line]))
        assert.strictEqual(rows, wanted.size)
        assert.deepStrictEqual(
          text
            .split(/(?<=\n)/)
            .filter(Boolean)
            .sort(),
          [...wanted.values()].sort()
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
