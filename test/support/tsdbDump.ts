/** What promtool finds in the files of a Prometheus. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect } from "effect"
import { findPrometheus, type PrometheusRelease } from "./binaries.ts"

/** The count, the sum, and the counts of the buckets. The bounds are not cut to those of the zero bucket. */
export interface DumpedHistogram {
  readonly count: number
  readonly sum: number
  readonly buckets: ReadonlyArray<number>
}

/** A stored sample. Stale markers look like any NaN. */
export interface DumpedSample {
  readonly labels: ReadonlyArray<readonly [name: string, value: string]>
  readonly time: number
  readonly value: number | DumpedHistogram
}

/** A number as Go or Prometheus write it. */
export const numberOf = (text: string): number => Number(text.replace("Inf", "Infinity"))

const histogramOf = (text: string): DumpedHistogram => ({
  count: numberOf(/count:([^,}]+)/.exec(text)![1]!),
  sum: numberOf(/sum:([^,}]+)/.exec(text)![1]!),
  buckets: Array.from(text.matchAll(/[\])]:([^,}]+)/g), ([, count = ""]) => numberOf(count))
})

/** All samples in the folder of a server, whose version of promtool reads them. */
export const tsdbDump = (
  folder: string,
  release: PrometheusRelease
): Effect.Effect<ReadonlyArray<DumpedSample>> =>
  Effect.promise(async () => {
    const { promtool } = await findPrometheus(release)
    const args = ["tsdb", "dump", join(folder, "data")]
    const { stdout } = await promisify(execFile)(promtool, args, { maxBuffer: 2 ** 28 })
    return stdout.split("\n").flatMap((line) => {
      const [, labels = "", value = "", time = ""] =
        /^\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\} (.*) (-?\d+)$/.exec(line) ?? []
      if (time === "") return []
      const pairs = Array.from(
        labels.matchAll(/([\w.]+)=("(?:[^"\\]|\\.)*")/g),
        ([, name = "", quoted = ""]) => [name, JSON.parse(quoted) as string] as const
      )
      return [
        {
          labels: pairs,
          time: Number(time),
          value: value.startsWith("{") ? histogramOf(value) : numberOf(value)
        }
      ]
    })
  })
