/** The body of a remote read: the protobuf message `ReadRequest` in snappy's block format. */
import type { MatchOperator } from "../../promql/Matcher.ts"
import type { RemoteReadQuery, ResponseForm } from "../RangeQuery.ts"
import { snappyLiteral } from "./snappy.ts"

/** The request for a query, with the accepted forms of the response in the order of preference. */
export const readRequest = (
  query: RemoteReadQuery,
  accepted: ReadonlyArray<ResponseForm>
): Uint8Array<ArrayBuffer> =>
  snappyLiteral(
    Buffer.concat([
      message(1, queryMessage(query)),
      message(2, Buffer.from(accepted.map((form) => responseTypes[form])))
    ])
  )

const responseTypes: Readonly<Record<ResponseForm, number>> = { samples: 0, chunks: 1 }

const matchTypes: Readonly<Record<MatchOperator, number>> = { "=": 0, "!=": 1, "=~": 2, "!~": 3 }

const queryMessage = ({ endMillis, matchers, startMillis }: RemoteReadQuery): Buffer =>
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

const integer = (field: number, value: number): Buffer =>
  Buffer.concat([Buffer.of(field << 3), varint(value)])

/** A field with its length: a message, a string, or a packed list. */
const message = (field: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.of((field << 3) | 2), varint(content.length), content])

/** Seven bits per byte, lowest first; a negative number is written as 64 bits in two's complement. */
const varint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
