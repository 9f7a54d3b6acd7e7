/** How the server is read, and what is accepted from it. */
import * as kind from "../kinds.ts"
import { ONE_DAY } from "./durations.ts"

/** Load, retries and limits, and incomplete or damaged data. */
export const tuningKeys = {
  api: kind.choice(["auto", "query_range", "remote_read"], {
    title: "API",
    group: "tuning",
    description:
      "How the data points of metrics and groups are requested. query_range: the server evaluates them. remote_read: the server sends its stored samples, compressed, and the connector evaluates the points. auto: remote_read where that causes less load and the records are the same, otherwise query_range. No effect if sampling is raw.",
    default: "auto",
    flag: {
      name: "api",
      metavar: "auto|query_range|remote_read",
      description: "How samples are requested from the server (default: auto)"
    }
  }),
  concurrency: kind.integer({
    title: "Concurrency",
    group: "tuning",
    description: "Number of queries to run on the server at the same time.",
    examples: [4],
    default: 4,
    min: 1,
    max: 64
  }),
  max_requests_per_second: kind.number({
    title: "Requests per second",
    group: "tuning",
    description:
      "The maximum number of requests per second, on average; 0.5 means one every two seconds. Retries count too. By default, only concurrency limits requests.",
    examples: [5],
    min: 0.001,
    max: 100_000,
    flag: {
      name: "max-requests-per-second",
      metavar: "NUMBER",
      description: "The most requests per second to the server, such as 5 or 0.5 (default: no limit)"
    }
  }),
  max_samples_per_second: kind.number({
    title: "Samples per second",
    group: "tuning",
    description:
      "The maximum number of samples per second that the server returns, on average. Queries become smaller and wait for one another. Samples of retried queries count too.",
    examples: [100_000],
    min: 1,
    max: 1_000_000_000,
    flag: {
      name: "max-samples-per-second",
      metavar: "NUMBER",
      description: "The most samples per second in the server's responses, such as 100000 (default: no limit)"
    }
  }),
  request_timeout: kind.seconds({
    title: "Request timeout",
    group: "tuning",
    description: "Seconds to wait for a response to start, or to continue, before the request is retried.",
    examples: [120],
    default: 120,
    min: 1,
    max: ONE_DAY
  }),
  max_retries: kind.integer({
    title: "Retries",
    group: "tuning",
    description: "Number of times to retry a request that failed for a temporary reason.",
    examples: [5],
    default: 5,
    min: 0,
    max: 20
  }),
  compression: kind.choice(["none", "gzip"], {
    title: "Compression",
    group: "tuning",
    description:
      "gzip saves bandwidth on a slow network. none saves the server CPU time and is faster on a local network.",
    default: "none"
  }),
  partial_data: kind.choice(["fail", "accept"], {
    title: "Partial data",
    group: "tuning",
    description:
      "What to do when the server warns that a response may lack data, as Thanos does when a store is unavailable. fail: the stream fails, and the next sync reads the data again. accept: the data is replicated, and a warning is logged.",
    default: "fail"
  }),
  damaged_data: kind.choice(["fail", "skip"], {
    title: "Damaged data",
    group: "tuning",
    description:
      "What to do when the server cannot return some points although it returns those around them, because part of its own data is damaged. Everything else is replicated in both cases. fail: the stream fails, and the next sync tries these points again. skip: a warning names the points, and later syncs do not try them again.",
    default: "fail",
    flag: {
      name: "damaged-data",
      metavar: "fail|skip",
      description:
        "What to do about points that the server cannot return because its data is damaged (default: fail)"
    }
  }),
  max_source_resolution: kind.choice(["raw", "auto", "5m", "1h"], {
    title: "Resolution of Thanos",
    group: "tuning",
    description:
      "Which blocks of Thanos may be read. raw: only samples as they were scraped. auto, 5m, 1h: downsampled ones too, as coarse as that, where Thanos keeps raw samples for a shorter time. Other servers ignore it.",
    default: "raw"
  })
}
