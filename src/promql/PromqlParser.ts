/**
 * The PromQL parser of Prometheus' own web interface. This module includes its tables, so it is loaded only if a configuration has
 * expressions.
 */
import { parser } from "@prometheus-io/lezer-promql"

/** What the parser knows about an expression. Positions are indexes into the text. */
export interface Syntax {
  /** Where it stops understanding the text; undefined if all of the text is an expression. */
  readonly errorAt: number | undefined
  /** Where functions depend on the range of a request: `@ start()`, `@ end()`, and `range()` as a duration. */
  readonly ofRange: ReadonlyArray<number>
  /** Where its selector is, if it is nothing but a selector of series. */
  readonly selector: readonly [from: number, to: number] | undefined
  /** Whether its value is a number without labels at each point. */
  readonly isScalar: boolean
}

type Node = ReturnType<typeof parser.parse>["topNode"]

const childrenOf = (node: Node): ReadonlyArray<Node> => {
  const children: Array<Node> = []
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    if (child.name !== "LineComment") children.push(child)
  }
  return children
}

/** The expression within parentheses. */
const withoutParentheses = (node: Node): Node => {
  const [inner, ...others] = childrenOf(node)
  return node.name === "ParenExpr" && inner !== undefined && others.length === 0
    ? withoutParentheses(inner)
    : node
}

/** Functions that return a number without labels. */
const scalarFunctions = new Set(["Time", "Pi", "Scalar"])

const operands = new Set(["NumberDurationLiteral", "ParenExpr", "FunctionCall", "BinaryExpr", "UnaryExpr"])

const isScalarNode = (given: Node): boolean => {
  const node = withoutParentheses(given)
  switch (node.name) {
    case "NumberDurationLiteral":
      return true
    case "FunctionCall":
      return scalarFunctions.has(node.firstChild?.firstChild?.name ?? "")
    case "BinaryExpr":
      return [node.firstChild, node.lastChild].every((side) => side !== null && isScalarNode(side))
    case "UnaryExpr":
      return childrenOf(node).some((child) => operands.has(child.name) && isScalarNode(child))
    default:
      return false
  }
}

/** Parses an expression. */
export const parseSyntax = (text: string): Syntax => {
  const tree = parser.parse(text)
  let errorAt: number | undefined
  const ofRange: Array<number> = []
  tree.iterate({
    enter: ({ from, name, type }) => {
      if (type.isError && (errorAt === undefined || from < errorAt)) errorAt = from
      if (name === "AtStart" || name === "AtEnd" || name === "DurationRange") ofRange.push(from)
    }
  })
  const [expression] = childrenOf(tree.topNode)
  const top = expression === undefined ? undefined : withoutParentheses(expression)
  return {
    errorAt,
    ofRange,
    selector: top?.name === "VectorSelector" && errorAt === undefined ? [top.from, top.to] : undefined,
    isScalar: top !== undefined && errorAt === undefined && isScalarNode(top)
  }
}
