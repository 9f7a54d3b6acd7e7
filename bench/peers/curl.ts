/** The lower bound: curl downloads the same responses, one after another in one process, and discards them. */
import { type Dataset, lastTime, metricNames, START } from "../datasets.ts"
import type { Command } from "../measure.ts"
import { outputOf } from "../output.ts"

/** One range query per metric: a day at 15 seconds is 5,760 points, and the server returns up to 11,000. */
export const curlCommand = (baseUrl: string, dataset: Dataset): Command => ({
  program: "curl",
  args: [
    "--silent",
    "--show-error",
    "--fail",
    "--fail-early",
    "--header",
    "Accept-Encoding: identity",
    "--write-out",
    "%{size_download}\n",
    ...metricNames(dataset).flatMap((metric) => [
      "--output",
      "/dev/null",
      rangeQuery(baseUrl, dataset, metric)
    ])
  ]
})

const rangeQuery = (baseUrl: string, dataset: Dataset, metric: string): string =>
  `${baseUrl}/api/v1/query_range?${new URLSearchParams({
    query: metric,
    start: `${START}`,
    end: `${lastTime(dataset)}`,
    step: `${dataset.stepSeconds}`
  })}`

/** The number of bytes that curl downloads. */
export const downloadedBytes = async (command: Command): Promise<number> =>
  (await outputOf(command)).split("\n").reduce((sum, line) => sum + Number(line), 0)
