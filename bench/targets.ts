/** What a read may cost at most, what it aims for, and whether it does. */
import type { Results } from "./workloads.ts"

/** One demand, and what was measured. */
export interface Target {
  readonly name: string
  readonly what: string
  readonly measured: number
  readonly unit: string
  readonly limit?: number
  readonly aim?: number
}

/** All demands, in the order of the report. */
export const targets = (results: Results): ReadonlyArray<Target> => {
  const {
    curl,
    discover,
    nodeAlone,
    read,
    readTenfold,
    readTenth,
    readThroughPipe,
    readWide,
    readYear,
    runDuckDB,
    spec
  } = results.measurements
  return [
    {
      name: "readPerCurl",
      what: "read to /dev/null ÷ curl: time",
      measured: read.seconds / curl.seconds,
      unit: "×",
      limit: 1.3,
      aim: 1
    },
    {
      name: "readThroughPipePerCurl",
      what: "read through a pipe ÷ curl: time",
      measured: readThroughPipe.seconds / curl.seconds,
      unit: "×",
      limit: 2,
      aim: 1.5
    },
    {
      name: "readMemory",
      what: "read: peak RSS",
      measured: Math.max(read.peakRssMegabytes!, readThroughPipe.peakRssMegabytes!),
      unit: "MB",
      limit: 160
    },
    {
      name: "readWideMemory",
      what: "read of one wide metric: peak RSS",
      measured: readWide.peakRssMegabytes!,
      unit: "MB",
      limit: 160
    },
    {
      name: "readYearMemory",
      what: "read of a year: peak RSS",
      measured: readYear.peakRssMegabytes!,
      unit: "MB",
      limit: 160
    },
    {
      name: "readTenfoldMemory",
      what: "read of 10 × the samples: peak RSS",
      measured: readTenfold.peakRssMegabytes!,
      unit: "MB",
      limit: 160
    },
    {
      name: "growthOfTime",
      what: "10 × the samples: time",
      measured: readTenfold.seconds / read.seconds,
      unit: "×",
      limit: 10
    },
    {
      name: "growthOfMemory",
      what: "10 × the samples: peak RSS",
      measured: readTenfold.peakRssMegabytes! / read.peakRssMegabytes!,
      unit: "×",
      limit: 1.25
    },
    {
      name: "growthOfTimeFromTenth",
      what: "1 × instead of 0.1 × the samples: time",
      measured: read.seconds / readTenth.seconds,
      unit: "×",
      limit: 10
    },
    {
      name: "growthOfMemoryFromTenth",
      what: "1 × instead of 0.1 × the samples: peak RSS",
      measured: read.peakRssMegabytes! / readTenth.peakRssMegabytes!,
      unit: "×",
      limit: 1.25
    },
    {
      name: "runDuckDBTime",
      what: "run into DuckDB: time of a million rows",
      measured: 1e6 / runDuckDB.recordsPerSecond!,
      unit: "s",
      limit: 2.5
    },
    {
      name: "specPerNode",
      what: "spec ÷ node -e 0: time",
      measured: spec.seconds / nodeAlone.seconds,
      unit: "×",
      limit: 8,
      aim: 4
    },
    {
      name: "discoverTime",
      what: "discover: time",
      measured: discover.seconds,
      unit: "s",
      limit: 3
    },
    {
      name: "discoverMemory",
      what: "discover: peak RSS",
      measured: discover.peakRssMegabytes!,
      unit: "MB",
      limit: 200
    },
    { name: "discoverRequests", what: "discover: requests", measured: results.discoverRequests, unit: "" },
    {
      name: "firstRecord",
      what: "first record after the first answer",
      measured: results.secondsToFirstRecord,
      unit: "s",
      limit: 0.3
    }
  ]
}

/** How a measured value stands to what was demanded; "" where only a person can tell. */
export const verdict = ({ aim, limit, measured }: Target): "" | "missed" | "met" | "aim met" => {
  if (limit === undefined) return ""
  if (measured > limit) return "missed"
  return aim !== undefined && measured <= aim ? "aim met" : "met"
}
