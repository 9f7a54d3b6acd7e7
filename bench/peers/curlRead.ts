/** curl downloads the stored chunks of each metric by remote read, one response after another, and discards them. */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { readRequest } from "../../src/prometheus/remoteRead/readRequest.ts"
import { type Dataset, lastTime, metricNames, START } from "../datasets.ts"
import type { Command } from "../measure.ts"

/** Writes the body of each request to a file in the folder, because it is not text. */
export const curlReadCommand = async (
  folder: string,
  baseUrl: string,
  dataset: Dataset
): Promise<Command> => {
  const requests = await Promise.all(
    metricNames(dataset).map(async (metric) => {
      const file = join(folder, `${metric}.request`)
      const query = {
        matchers: [{ label: "__name__", operator: "=" as const, value: metric }],
        startMillis: START * 1000,
        endMillis: lastTime(dataset) * 1000
      }
      await writeFile(file, readRequest([query], ["chunks"]))
      return [
        "--silent",
        "--show-error",
        "--fail",
        "--header",
        "Content-Type: application/x-protobuf",
        "--header",
        "Content-Encoding: snappy",
        "--header",
        "X-Prometheus-Remote-Read-Version: 0.1.0",
        "--data-binary",
        `@${file}`,
        "--output",
        "/dev/null",
        `${baseUrl}/api/v1/read`
      ]
    })
  )
  return { program: "curl", args: requests.flatMap((args, i) => (i === 0 ? args : ["--next", ...args])) }
}
