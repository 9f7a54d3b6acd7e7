/** The body of a remote read: the protobuf message `ReadRequest` in snappy's block format. */
import type { MatchOperator } from "../../promql/Matcher.ts"
import type { ResponseForm, StoredQuery } from "../RangeQuery.ts"
import { integer, message } from "./protobufWriter.ts"
import { snappyLiteral } from "./snappy.ts"

/** The request for queries, with the accepted forms of the response in the order of preference. */
export const readRequest = (
  queries: ReadonlyArray<StoredQuery>,
  accepted: ReadonlyArray<ResponseForm>
): Uint8Array<ArrayBuffer> =>
  snappyLiteral(
    Buffer.concat([
      ...queries.map((query) => message(1, queryMessage(query))),
      message(2, Buffer.from(accepted.map((form) => responseTypes[form])))
    ])
  )

const responseTypes: Readonly<Record<ResponseForm, number>> = { samples: 0, chunks: 1 }

const matchTypes: Readonly<Record<MatchOperator, number>> = { "=": 0, "!=": 1, "=~": 2, "!~": 3 }

const queryMessage = ({ endMillis, matchers, startMillis }: StoredQuery): Buffer =>
  Buffer.concat([
    // Samples have whole milliseconds.
    integer(1, Math.ceil(startMillis)),
    integer(2, Math.floor(endMillis)),
    ...matchers.map(({ label, operator, value }) =>
      message(
        3,
        Buffer.concat([
          integer(1, matchTypes[operator]),
          message(2, Buffer.from(label)),
          message(3, Buffer.from(value))
        ])
      )
    )
  ])
