/** The limits and aims of the bench, and whether measurements meet them. */
import type { Results } from "./workloads.ts"

/** One limit or aim, and the measured value. */
export interface Target {
  readonly name: string
  readonly what: string
  readonly measured: number
  readonly unit: string
  readonly limit?: number
  readonly aim?: number
}

/** All targets, in the order of the report. */
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
    runDuckDBTenfold,
    runJsonLines,
    runParquet,
    runParquetS3,
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
      name: "runDuckDBPerCurl",
      what: "run into DuckDB ÷ curl: time",
      measured: runDuckDB.seconds / curl.seconds,
      unit: "×",
      limit: 5.5
    },
    {
      name: "growthOfRunDuckDBTime",
      what: "run into DuckDB, 10 × the samples: time",
      measured: runDuckDBTenfold.seconds / runDuckDB.seconds,
      unit: "×",
      limit: 10
    },
    {
      name: "runDuckDBFile",
      what: "run into DuckDB: size of the file",
      measured: results.duckdbFileMegabytes,
      unit: "MB",
      limit: 130
    },
    {
      name: "runParquetPerCurl",
      what: "run into Parquet ÷ curl: time",
      measured: runParquet.seconds / curl.seconds,
      unit: "×",
      limit: 2.5
    },
    {
      name: "runParquetS3PerParquet",
      what: "run into Parquet in S3 ÷ on disk: time",
      measured: runParquetS3.seconds / runParquet.seconds,
      unit: "×",
      limit: 1.5
    },
    {
      name: "runJsonLinesPerCurl",
      what: "run into JSON lines ÷ curl: time",
      measured: runJsonLines.seconds / curl.seconds,
      unit: "×",
      limit: 2.2
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
      what: "first record after the first response",
      measured: results.secondsToFirstRecord,
      unit: "s",
      limit: 0.3
    }
  ]
}

/** Whether a measured value meets its target, or "" if the target has no limit. */
export const verdict = ({ aim, limit, measured }: Target): "" | "missed" | "met" | "aim met" => {
  if (limit === undefined) return ""
  if (measured > limit) return "missed"
  return aim !== undefined && measured <= aim ? "aim met" : "met"
}
