/** Fakes of limits, damage, and proxies that fail in one place and work in all others. */
import {
  type Answer,
  type Ask,
  changeJson,
  isInstant,
  isRange,
  type Layer,
  type Matrix,
  refusal,
  selectorsOf,
  spanOf,
  withParams
} from "./fake.ts"

/** An answer for the requests that a test is about; others pass. */
export const answerTo =
  (isMeant: (ask: Ask) => boolean, answer: (ask: Ask) => Answer | Promise<Answer>): Layer =>
  (ask, next) =>
    isMeant(ask) ? answer(ask) : next(ask)

/** Refuses responses with more than so many of something, as servers do that count while they evaluate. */
export const limitResponses =
  (count: (answer: Exclude<Answer, string>) => number, most: number, refuse: () => Answer): Layer =>
  async (ask, next) => {
    const answer = await next(ask)
    if (!isRange(ask) || typeof answer === "string" || answer.status !== 200) return answer
    return count(answer) > most ? refuse() : answer
  }

export const bytesOf = ({ body }: Exclude<Answer, string>): number => body.length
export const samplesOf = (answer: Exclude<Answer, string>): number =>
  resultOf(answer).reduce((sum, { values }) => sum + values.length, 0)
export const seriesOf = (answer: Exclude<Answer, string>): number => resultOf(answer).length

const resultOf = ({ body }: Exclude<Answer, string>) =>
  (JSON.parse(body.toString()) as { readonly data: { readonly result: ReadonlyArray<Matrix> } }).data.result

/** Range queries' bodies end after so many bytes, such as those of a proxy that cannot write its temporary folder. */
export const cutAt =
  (bytes: number): Layer =>
  async (ask, next) => {
    const answer = await next(ask)
    return isRange(ask) && typeof answer !== "string" && answer.status === 200
      ? { ...answer, cutAt: bytes }
      : answer
  }

/** A damaged place in a server's data. */
export interface Damage {
  /** The times of the samples of the chunk or block. */
  readonly from: number
  readonly to: number
  /** Its series: labels that all of them have. None for a block with all series. */
  readonly labels?: Readonly<Record<string, string>>
  readonly status?: number
  readonly error?: string
}

const LOOKBACK = 300_000

/** Queries that would load samples of a damaged place fail, whatever else they select. */
export const damaged =
  (...places: ReadonlyArray<Damage>): Layer =>
  async (ask, next) => {
    if (!isRange(ask) && !isInstant(ask)) return next(ask)
    const { end, start } = spanOf(ask)
    for (const { from, to, labels = {}, status = 422, error = damageText } of places) {
      if (start - LOOKBACK > to || end < from) continue
      if (
        await selects(ask, next, labels, { from: Math.max(from, start - LOOKBACK), to: Math.min(to, end) })
      ) {
        return refusal(status, error, status === 500 ? "internal" : "execution")
      }
    }
    return next(ask)
  }

export const damageText =
  "expanding series: cannot populate chunk 8 from block 01KBZ3V8Y3X6H9QG0ZD8C2M5R7: checksum mismatch expected:8ae0bf4d, actual:3e1c2f9a"

/** Whether a query selects a series with these labels that has samples in a range. */
const selects = async (
  ask: Ask,
  next: (ask: Ask) => Promise<Answer>,
  labels: Readonly<Record<string, string>>,
  { from, to }: { readonly from: number; readonly to: number }
): Promise<boolean> => {
  for (const match of selectorsOf(ask)) {
    const params = new URLSearchParams({ "match[]": match, start: `${from / 1000}`, end: `${to / 1000}` })
    const answer = await next({ ...ask, method: "GET", path: "/api/v1/series", params })
    if (typeof answer === "string") continue
    const { data = [] } = JSON.parse(answer.body.toString()) as {
      readonly data?: ReadonlyArray<Readonly<Record<string, string>>>
    }
    if (data.some((series) => Object.entries(labels).every(([name, value]) => series[name] === value)))
      return true
  }
  return false
}

/** Spells the values of samples in another way. */
export const spellValues =
  (spell: (value: string) => string): Layer =>
  async (ask, next) => {
    const answer = await next(ask)
    if (!isRange(ask) && !isInstant(ask)) return answer
    return changeJson(answer, (envelope) => {
      const data = envelope.data as { readonly resultType: string; readonly result: unknown }
      if (data.resultType !== "matrix") return envelope
      const result = (data.result as ReadonlyArray<Matrix>).map((series) => ({
        ...series,
        values: series.values.map(([time, value]) => [time, spell(value)])
      }))
      return { ...envelope, data: { ...data, result } }
    })
  }

/** Delays the answers to some requests. */
export const delayed =
  (isMeant: (ask: Ask) => boolean, millis: number): Layer =>
  async (ask, next) => {
    if (isMeant(ask)) await new Promise((resolve) => setTimeout(resolve, millis))
    return next(ask)
  }

/** Lists of label names or values end at a limit, without a sign. */
export const limited =
  (limit: number): Layer =>
  (ask, next) =>
    ask.path.includes("/label") ? next(withParams(ask, { limit: `${limit}` })) : next(ask)
