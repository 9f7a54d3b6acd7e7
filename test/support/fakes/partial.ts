/** Fakes of servers that leave something out of a response, and say so in one way or another. */
import {
  type Answer,
  type Ask,
  changeJson,
  changeMatrix,
  isInstant,
  isList,
  isNames,
  isRange,
  type Layer,
  refusal,
  selectorsOf,
  withHeaders,
  withMembers
} from "./fake.ts"

/** What is left out: series, and names that are only in the rest. */
export interface Loss {
  readonly endpoints: (ask: Ask) => boolean
  /** Whether a series is left out of samples. */
  readonly series?: (metric: Readonly<Record<string, string>>) => boolean
  /** Whether a name or value is left out of a list. */
  readonly name?: (name: string) => boolean
}

/** Applies a loss to a response. */
export const lose = (ask: Ask, answer: Answer, { name, series }: Loss): Answer => {
  if (isList(ask) && name !== undefined) {
    return changeJson(answer, (envelope) => ({
      ...envelope,
      data: (envelope.data as ReadonlyArray<string>).filter((entry) => !name(entry))
    }))
  }
  if (isRange(ask) && series !== undefined) {
    return changeMatrix(answer, (found) => (series(found.metric) ? { ...found, values: [] } : found))
  }
  return answer
}

/** Loses something, and says so with members beside `data`, such as `warnings` or `isPartial`. */
export const loseWithMembers =
  (loss: Loss, members: object): Layer =>
  async (ask, next) => {
    const answer = await next(ask)
    return loss.endpoints(ask) ? withMembers(lose(ask, answer, loss), members) : answer
  }

/** Loses something, and says so in a header, as M3 does. */
export const loseWithHeader =
  (loss: Loss, headers: Readonly<Record<string, string>>): Layer =>
  async (ask, next) => {
    const answer = await next(ask)
    return loss.endpoints(ask) ? withHeaders(lose(ask, answer, loss), headers) : answer
  }

/** VictoriaMetrics' cluster while a storage node is away: `isPartial`, or an error if the request denies that. */
export const victoriaCluster =
  (loss: Omit<Loss, "endpoints">): Layer =>
  async (ask, next) => {
    // `time()` needs no storage node.
    const needsStorage = isRange(ask) || isList(ask) || (isInstant(ask) && selectorsOf(ask).length > 0)
    if (!needsStorage) return next(ask)
    if (/^(1|true|yes)$/.test(ask.params.get("deny_partial_response") ?? "")) {
      return refusal(
        503,
        "cannot fetch query results from storage nodes: error when executing search on vmstorage storage-2:8401: dial tcp4 10.0.0.9:8401: i/o timeout",
        "503"
      )
    }
    const answer = await next(ask)
    return changeJson(lose(ask, answer, { ...loss, endpoints: () => true }), ({ status, ...envelope }) => ({
      status,
      isPartial: true,
      ...envelope
    }))
  }

/** Changes the entries of lists. */
export const changeLists =
  (isMeant: (ask: Ask) => boolean, change: (entries: ReadonlyArray<string>) => unknown): Layer =>
  async (ask, next) => {
    const answer = await next(ask)
    if (!isList(ask) || !isMeant(ask)) return answer
    return changeJson(answer, (envelope) => ({
      ...envelope,
      data: change(envelope.data as ReadonlyArray<string>)
    }))
  }

export const onNames = isNames
