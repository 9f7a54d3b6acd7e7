/** The flags `--part` and `--parts`: which parts of a run a process reads. */
import { Result } from "effect"
import type { Share } from "../run/runParts.ts"

/** The variable in which Kubernetes gives the pods of an indexed Job their numbers. */
export const INDEX_VARIABLE = "JOB_COMPLETION_INDEX"

/** More processes than any server can serve. */
export const MAX_PROCESSES = 10_000

/** Parses a value of `--part`, such as `0/4`. Fails with a sentence for the user. */
export const parsePart = (text: string): Result.Result<Pick<Share, "index" | "processes">, string> => {
  const wrong = (why: string) => Result.fail(`--part is ${JSON.stringify(text)}, but ${why}.`)
  const [, first = "", second = ""] = /^(\d{1,6})\/(\d{1,6})$/.exec(text.trim()) ?? []
  const [index, processes] = [Number(first), Number(second)]
  if (first === "") {
    return wrong(
      "must be the number of this process, from 0 on, and the number of all processes: the first of four is 0/4, the last one 3/4"
    )
  }
  if (processes < 1 || processes > MAX_PROCESSES)
    return wrong(`the number of processes must be from 1 to ${MAX_PROCESSES}`)
  if (index >= processes)
    return wrong(
      `processes are counted from 0: the last one of ${processes} is ${processes - 1}/${processes}`
    )
  return Result.succeed({ index, processes })
}

/** The given flags. */
interface Given {
  readonly part?: Pick<Share, "index" | "processes"> | undefined
  readonly parts?: number | undefined
  readonly partMillis?: number | undefined
}

/** What a process reads; undefined for everything. Fails with a sentence if its number is missing or wrong. */
export const shareOf = (
  { part, partMillis, parts }: Given,
  env: NodeJS.ProcessEnv
): Result.Result<Share | undefined, string> => {
  const lengthMillis = partMillis
  if (part !== undefined) return Result.succeed({ ...part, lengthMillis })
  if (parts === undefined) return Result.succeed(undefined)
  const text = env[INDEX_VARIABLE]?.trim() ?? ""
  const instead = `give --part I/${parts} instead, with I from 0 to ${parts - 1}`
  if (text === "") {
    return Result.fail(
      `--parts takes the number of the process from ${INDEX_VARIABLE}, which is not set. Kubernetes sets it in the pods of a Job with completionMode: Indexed. Elsewhere, ${instead}.`
    )
  }
  const index = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  return index < parts
    ? Result.succeed({ index, processes: parts, lengthMillis })
    : Result.fail(
        `${INDEX_VARIABLE} is ${JSON.stringify(text)}, but with --parts ${parts} it must be a number from 0 to ${parts - 1}. In Kubernetes, give --parts the number of the Job's completions. Elsewhere, ${instead}.`
      )
}
