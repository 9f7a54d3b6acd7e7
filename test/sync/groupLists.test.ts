/** How often the metrics of groups are listed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { ConnectorConfig } from "../../src/config/ConnectorConfig.ts"
import { BlockSource } from "../../src/sync/BlockSource.ts"
import { definitionOf } from "../../src/sync/StreamDefinition.ts"
import * as sources from "../../src/sync/sources.ts"
import { gauge } from "../support/gauge.ts"
import { drive, refusal, setUp } from "./readMock.ts"

/** The lists of metrics that a server was asked for. */
const isList = ({ path }: { readonly path: string }) => path.endsWith("/label/__name__/values")

const groups = [
  { name: "apps", metrics: { include: ["app_*"] } },
  { name: "others", metrics: { include: ["other_*"] } }
]

describe("the metrics of groups", () => {
  it.effect("are listed once for all groups, and again after a failure", () =>
    Effect.gen(function* () {
      let isBroken = true
      const { mock, services } = yield* setUp({
        series: [...gauge("app_up", 10), ...gauge("other_up", 10)],
        points: 10,
        config: { groups, max_retries: 0 },
        mock: { faults: (request) => (isBroken && isList(request) ? refusal(503, "not yet") : undefined) }
      })
      const reading = Effect.gen(function* () {
        const settings = yield* ConnectorConfig
        const source = yield* BlockSource
        const seriesOf = (group: string) => source.open(definitionOf(settings, group)).series!
        const error = yield* Effect.flip(seriesOf("apps"))
        assert.match(error.message, /not yet/)
        isBroken = false
        assert.deepStrictEqual((yield* seriesOf("apps")).metrics, ["app_up"])
        const lists = mock.requests.filter(isList).length
        assert.deepStrictEqual((yield* seriesOf("others")).metrics, ["other_up"])
        assert.deepStrictEqual((yield* seriesOf("apps")).metrics, ["app_up"])
        assert.lengthOf(mock.requests.filter(isList), lists)
      })
      yield* drive(Effect.provide(reading, sources.layer.pipe(Layer.provideMerge(services))))
    })
  )
})
