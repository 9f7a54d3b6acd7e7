/** Series with every kind of data that ever went wrong in an export. */
import type { SeriesInput } from "./openMetrics.ts"

/** 2026-01-01T00:00:00Z, in milliseconds. */
export const start = Date.UTC(2026, 0, 1)

const minute = 60_000

/** One sample a minute; `undefined` is a gap. */
const everyMinute = (
  labels: SeriesInput["labels"],
  count: number,
  value: (index: number) => number | undefined,
  from = 0
): SeriesInput => ({
  labels,
  samples: Array.from({ length: count }, (_, i) => i + from).flatMap((i) => {
    const sample = value(i)
    return sample === undefined ? [] : [[start + i * minute, sample] as const]
  })
})

export const specialValues = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
  5e-324,
  1.7976931348623157e308,
  -1.7976931348623157e308,
  1e21,
  123456789012345680000,
  1e-7,
  0.000001,
  0.30000000000000004,
  1.2345678901234567,
  2 ** 53 + 2
]

/** Labels that conflict with our columns, or with JavaScript. */
export const awkwardLabels: ReadonlyArray<readonly [string, string]> = [
  ["time", "noon"],
  ["value", "dear"],
  ["series_id", "own"],
  ["special_value", "offer"],
  ["Time", "capital"],
  ["labels", "many"],
  ["other_labels", "others"],
  ["histogram", "bars"],
  ["constructor", "builder"],
  ["__proto__", "ancestor"],
  ["toString", "text"],
  ["plain", "yes"]
]

/** Label values that need care in JSON, in PromQL or in UTF-8. */
export const awkwardValues = [
  "quotes \" and ' and `",
  "back\\slash \\n",
  "line\nfeed",
  "emoji 😀 é \u00a0",
  "{},=~",
  " spaces ",
  "%2F?&#",
  "\u2028 </script>"
]

/** Ten hours of such data, one sample per minute. */
export const awkward = (): ReadonlyArray<SeriesInput> => [
  // Gaps longer than the look-back, and series that begin or end inside the range.
  everyMinute({ __name__: "requests_total", job: "api", code: "200" }, 600, (i) => i * 3),
  everyMinute({ __name__: "requests_total", job: "api", code: "500" }, 600, (i) =>
    i % 100 < 60 ? i : undefined
  ),
  everyMinute({ __name__: "requests_total", job: "web", code: "200" }, 200, (i) => i / 7, 100),
  everyMinute({ __name__: "requests_total", job: "web" }, 100, (i) => -i, 0),
  everyMinute({ __name__: "special" }, 600, (i) => specialValues[i % specialValues.length]),
  everyMinute([["__name__", "awkward_names"], ...awkwardLabels], 120, (i) => i),
  ...awkwardValues.map((value, n) =>
    everyMinute({ __name__: "awkward_values", text: value }, 60, (i) => i * n)
  ),
  everyMinute({ __name__: "job:requests:rate5m", job: "api" }, 300, (i) => Math.sin(i)),
  everyMinute({ __name__: "lonely" }, 1, () => 42, 333)
]
