/** What a client learns about its server, from optional requests and from every other response. */
import { Effect, Result } from "effect"
import type { Settings } from "../../config/ConnectorConfig.ts"
import * as Api from "../api.ts"
import type { PrometheusError } from "../PrometheusError.ts"
import { type Evidence, isKnownHost, kindOf } from "./identify.ts"
import { profiles } from "./profiles.ts"

/** What one response shows. */
export interface Observed {
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** The text of a refusal. */
  readonly refusal?: string
  /** Members of its JSON. */
  readonly members?: Iterable<string>
  readonly lacksData?: boolean
}

/** The headers and members that only one kind of server has. */
const isTelling = (name: string): boolean =>
  name === "x-server-hostname" || name.startsWith("m3-") || name === "isPartial" || name === "analysis"

/** How many names are kept: a server may send others in each response. */
const MAX_NAMES = 100

/** The words with which Google's front end refuses an unknown parameter. */
const googleRefusal = /Invalid JSON payload received|Cannot bind query parameter/

/** Collects evidence. */
export class EvidenceLog {
  private evidence: Evidence
  private readonly headers = new Set<string>()
  private readonly members = new Set<string>()

  constructor({
    authentication,
    baseUrl,
    headers
  }: Pick<Settings, "authentication" | "baseUrl" | "headers">) {
    this.evidence = {
      baseUrl,
      hasTenant: headers.some(({ name }) => name.toLowerCase() === "x-scope-orgid"),
      isSignedForAmazon: authentication.auth_type === "aws_sigv4" && authentication.service === "aps",
      headers: this.headers,
      members: this.members,
      refusesAsGoogle: false,
      lacksData: false,
      buildInfo: undefined,
      hasStores: false,
      flags: undefined,
      rollup: undefined
    }
  }

  get known(): Evidence {
    return this.evidence
  }

  private addNames(known: Set<string>, names: Iterable<string>): void {
    for (const name of names) if (known.size < MAX_NAMES && isTelling(name)) known.add(name)
  }

  add(evidence: Partial<Evidence>): void {
    this.evidence = { ...this.evidence, ...evidence }
  }

  observe({ headers = {}, lacksData = false, members = [], refusal = "" }: Observed): void {
    this.addNames(this.headers, Object.keys(headers))
    this.addNames(this.members, members)
    if (lacksData && !this.evidence.lacksData) this.add({ lacksData })
    if (googleRefusal.test(refusal)) this.add({ refusesAsGoogle: true })
  }
}

/** Sends a request that nothing depends on. */
export type Try = <A>(endpoint: Api.Endpoint<A>) => Effect.Effect<Result.Result<A, PrometheusError>>

/** Asks a server what it is. Without a response, it stays unknown. */
export const detect = Effect.fnUntraced(function* (log: EvidenceLog, attempt: Try) {
  if (isKnownHost(log.known.baseUrl)) return
  if (!log.known.headers.has("x-server-hostname")) {
    const [buildInfo, stores, flags] = yield* Effect.all(
      [attempt(Api.buildInfo), attempt(Api.stores), attempt(Api.flags)],
      { concurrency: "unbounded" }
    )
    log.add({
      buildInfo: Result.isSuccess(buildInfo)
        ? buildInfo.success
        : buildInfo.failure.reason === "WrongPath"
          ? null
          : undefined,
      // Some servers respond to every path with an empty object.
      hasStores: Result.isSuccess(stores) && stores.success.length > 0,
      flags: Result.getOrUndefined(flags)
    })
  }
  if (profiles[kindOf(log.known)].isRollup !== true) return
  const rollup = yield* attempt(Api.rollup)
  if (Result.isSuccess(rollup)) log.add({ rollup: rollup.success })
  // Another failure may pass.
  else if (rollup.failure.policy.action !== "retry") log.add({ rollup: "none" })
})
