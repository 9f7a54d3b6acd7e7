/** Changes of a response that a hostile or wrong server, or a proxy, could make. */
import type { Choices } from "../../choices.ts"

/** JSON whose scalars are kept as they were written, in one character per byte. */
type Tree =
  | { kind: "scalar"; text: string }
  | { kind: "list"; items: Array<Tree> }
  | { kind: "object"; members: Array<[key: string, value: Tree]> }

const TOKEN = /\s*("(?:[^"\\]|\\.)*"|[^\s"[\]{},:]+|[[\]{},:])/gy

const treeOf = (text: string): Tree => {
  const tokens = Array.from(text.matchAll(TOKEN), ([, token]) => token!)
  let at = 0
  const value = (): Tree => {
    const token = tokens[at++]!
    if (token === "[") {
      const items: Array<Tree> = []
      while (tokens[at] !== "]") {
        items.push(value())
        if (tokens[at] === ",") at++
      }
      at++
      return { kind: "list", items }
    }
    if (token === "{") {
      const members: Array<[string, Tree]> = []
      while (tokens[at] !== "}") {
        const key = tokens[at]!
        at += 2
        members.push([key, value()])
        if (tokens[at] === ",") at++
      }
      at++
      return { kind: "object", members }
    }
    return { kind: "scalar", text: token }
  }
  return value()
}

const render = (tree: Tree): string => {
  switch (tree.kind) {
    case "scalar":
      return tree.text
    case "list":
      return `[${tree.items.map(render).join(",")}]`
    case "object":
      return `{${tree.members.map(([key, value]) => `${key}:${render(value)}`).join(",")}}`
  }
}

const nodesOf = (tree: Tree): ReadonlyArray<Tree> => {
  switch (tree.kind) {
    case "scalar":
      return [tree]
    case "list":
      return [tree, ...tree.items.flatMap(nodesOf)]
    case "object":
      return [tree, ...tree.members.flatMap(([, value]) => nodesOf(value))]
  }
}

const keys = [
  "status",
  "data",
  "result",
  "resultType",
  "metric",
  "values",
  "histograms",
  "value",
  "count",
  "buckets",
  "error",
  "warnings",
  "isPartial",
  "__name__",
  "__proto__",
  "n",
  "",
  "\\u006detric",
  "VALUES",
  "\\ud800"
].map((key) => `"${key}"`)

/** Numbers with 500 digits and in other forms, JSON or not. */
const numbers = [
  "0",
  "-0",
  "-1",
  "1767225600",
  "1767225660.5",
  "1767225600.0004",
  "1767225600000",
  "17672256e2",
  "1e400",
  "-1e400",
  "1e-400",
  "9".repeat(400),
  `0.${"3".repeat(400)}`,
  `-${"1".repeat(400)}e${"1".repeat(20)}`,
  "9007199254740993",
  "NaN",
  "+Inf",
  "Infinity",
  "0x10",
  "01",
  "1_000",
  ".5",
  "5.",
  "1e",
  "--1",
  "+1"
]

/** Contents of strings; some are not valid text. */
const texts = [
  "",
  "success",
  "error",
  "matrix",
  "vector",
  "\\u0031",
  "1\\u002e5",
  "\\ud83d\\ude00",
  "\\ud83d",
  "\\ude00\\ud83d",
  "\\uZZZZ",
  "\\x",
  "\\",
  "\n",
  "\0",
  "\xff",
  "\xc3\xa9",
  "\xc3",
  "\xed\xa0\x80",
  "\xf0\x9f\x98\x80",
  "\xef\xbb\xbf",
  "x".repeat(5000)
]

const scalar = (text: string): Tree => ({ kind: "scalar", text })

const anything = (choices: Choices, all: ReadonlyArray<Tree>): Tree => {
  switch (choices.below(7)) {
    case 0:
      return scalar(choices.pick(numbers))
    case 1:
      return scalar(`"${choices.pick(numbers)}"`)
    case 2:
      return scalar(`"${choices.pick(texts)}"`)
    case 3:
      return scalar(choices.pick(["null", "true", "false", "undefined", "nul", "{}", "[]", ""]))
    case 4: {
      const depth = choices.pick([1, 2, 3, 500])
      return scalar(choices.oneIn(2) ? "[".repeat(depth) + "]".repeat(depth) : '{"a":'.repeat(depth))
    }
    default:
      return choices.pick(all)
  }
}

const without = <A>(items: ReadonlyArray<A>, index: number): Array<A> => items.filter((_, i) => i !== index)

/** Changes the children of a list or an object. */
const changeChildren = <A>(
  choices: Choices,
  items: ReadonlyArray<A>,
  replace: (item: A) => A,
  foreign: () => A
): Array<A> => {
  const at = choices.below(Math.max(1, items.length))
  switch (choices.below(6)) {
    case 0:
      return without(items, at)
    case 1:
      return items.length === 0 ? [foreign()] : [...items.slice(0, at), items[at]!, ...items.slice(at)]
    case 2:
      return choices.shuffle(items)
    case 3:
      return [...items.slice(0, at), foreign(), ...items.slice(at)]
    default:
      return items.map((item, i) => (i === at ? replace(item) : item))
  }
}

const changeTree = (choices: Choices, tree: Tree): void => {
  const all = nodesOf(tree)
  const node = choices.pick(all)
  const copy = (): Tree => structuredClone(anything(choices, all))
  switch (node.kind) {
    case "scalar":
      node.text = render(copy())
      return
    case "list":
      node.items = changeChildren(choices, node.items, copy, copy)
      return
    case "object":
      node.members = changeChildren(
        choices,
        node.members,
        ([key, value]) => (choices.oneIn(2) ? [choices.pick(keys), value] : [key, copy()]),
        () => [choices.pick(keys), copy()]
      )
  }
}

const structural = '"\\[]{},:00129.-+eE nN/u\0'

/** Changes bytes, whatever they mean. Returns the place of the first change too. */
export const changeBytes = (
  choices: Choices,
  bytes: Uint8Array
): { readonly bytes: Uint8Array; readonly at: number } => {
  const at = choices.below(bytes.length + 1)
  const head = bytes.subarray(0, at)
  const tail = bytes.subarray(at)
  const some = choices.between(1, choices.pick([1, 1, 4, 60]))
  const noise = Uint8Array.from({ length: some }, () =>
    choices.oneIn(3) ? choices.below(256) : structural.charCodeAt(choices.below(structural.length))
  )
  const changed = (...parts: ReadonlyArray<Uint8Array>) => ({ at, bytes: Buffer.concat([head, ...parts]) })
  switch (choices.below(6)) {
    case 0:
      return changed(noise, tail.subarray(some))
    case 1:
      return changed(noise, tail)
    case 2:
      return changed(tail.subarray(some))
    case 3:
      // Repeats a part.
      return changed(tail.subarray(0, some), tail)
    case 4:
      return changed()
    default:
      return changed(
        tail.subarray(0, 1).map((byte) => byte ^ (1 << choices.below(8))),
        tail.subarray(1)
      )
  }
}

/** Changes the structure of a JSON response, one to three times. */
export const changeStructure = (choices: Choices, bytes: Uint8Array): Uint8Array => {
  const tree = treeOf(Buffer.from(bytes).toString("latin1"))
  for (let times = choices.between(1, 3); times > 0; times--) changeTree(choices, tree)
  return Buffer.from(render(tree), "latin1")
}

/** Puts something around a response, or replaces it. */
export const changeFrame = (choices: Choices, bytes: Uint8Array): Uint8Array => {
  const text = Buffer.from(bytes).toString("latin1")
  const frame: ReadonlyArray<string> = [
    "",
    " \n\t\r",
    `\xef\xbb\xbf${text}`,
    `\xff\xfe${text}`,
    `${text}${text}`,
    `${text}garbage`,
    `${text}\0`,
    ` \r\n${text}\t `,
    `[${text}]`,
    `{"data":${text}}`,
    `)]}'\n${text}`,
    `"${text}"`,
    "[]",
    "{}",
    "null",
    "[".repeat(1000),
    '{"a":'.repeat(1000),
    '{"status":"error","errorType":"internal","error":"out of order"}',
    '{"status":"error"}',
    `{"status":"error",${text.slice(1)}`,
    `${text.slice(0, -1)},"status":"error"}`,
    "<html>"
  ]
  return Buffer.from(choices.pick(frame), "latin1")
}

/** Changes a response in one or more of these ways. */
export const mutate = (choices: Choices, bytes: Uint8Array): Uint8Array => {
  switch (choices.below(8)) {
    case 0:
    case 1:
      return changeBytes(choices, bytes).bytes
    case 2:
      return changeBytes(choices, changeStructure(choices, bytes)).bytes
    case 3:
      return changeFrame(choices, bytes)
    default:
      return changeStructure(choices, bytes)
  }
}
