/** The requests of remote reads, decoded. */
import { ProtobufReader } from "../prometheus/remoteRead/ProtobufReader.ts"
import { snappyDecompress } from "../prometheus/remoteRead/snappy.ts"
import type { Matcher, MatchOperator } from "../promql/Matcher.ts"
import type { MockRequest } from "./http.ts"

/** What a remote read asks for: the samples of the series that satisfy all matchers, both ends of the range included. */
export interface ReadQuery {
  readonly matchers: ReadonlyArray<Matcher>
  readonly startMillis: number
  readonly endMillis: number
}

/** A decoded request. */
export interface ReadRequest {
  readonly queries: ReadonlyArray<ReadQuery>
  /** The accepted types of response in the order of preference: 0 for samples, 1 for chunks. */
  readonly accepted: ReadonlyArray<number>
}

const MAX_BYTES = 1024 * 1024

const operators: ReadonlyArray<MatchOperator> = ["=", "!=", "=~", "!~"]

/** Whether a request is a remote read. */
export const isRead = ({ path }: Pick<MockRequest, "path">): boolean => path.endsWith("/api/v1/read")

/** Decodes the body of a remote read; throws if it is none. */
export const parseReadRequest = (body: Uint8Array): ReadRequest => {
  const message = new ProtobufReader(snappyDecompress(body, MAX_BYTES))
  const queries: Array<ReadQuery> = []
  const accepted: Array<number> = []
  for (let field = message.next(); field !== 0; field = message.next()) {
    if (field === 1) queries.push(queryOf(message.message()))
    else if (field === 2) {
      // A packed list of integers below 128.
      const [start, end] = message.range()
      accepted.push(...message.bytes.subarray(start, end))
    } else message.skip()
  }
  return { queries, accepted }
}

const queryOf = (message: ProtobufReader): ReadQuery => {
  const matchers: Array<Matcher> = []
  let startMillis = 0
  let endMillis = 0
  for (let field = message.next(); field !== 0; field = message.next()) {
    if (field === 1) startMillis = message.int64()
    else if (field === 2) endMillis = message.int64()
    else if (field === 3) matchers.push(matcherOf(message.message()))
    else message.skip()
  }
  return { matchers, startMillis, endMillis }
}

const matcherOf = (message: ProtobufReader): Matcher => {
  let operator: MatchOperator = "="
  let label = ""
  let value = ""
  for (let field = message.next(); field !== 0; field = message.next()) {
    if (field === 1) operator = operators[message.int64()] ?? operator
    else if (field === 2) label = message.string()
    else if (field === 3) value = message.string()
    else message.skip()
  }
  return { label, operator, value }
}
