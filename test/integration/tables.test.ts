/** Prometheus' own tables: the mock compared with real servers that have them. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeRequest } from "../../src/mock/http.ts"
import { MockPrometheus } from "../../src/mock/MockPrometheus.ts"
import { type FamilyMetadata, makeDatabase } from "../../src/mock/MockSeries.ts"
import type { MockExemplar, MockRuleGroup, MockTarget } from "../../src/mock/MockTables.ts"
import type { RealServer } from "../support/RealServer.ts"
import { describeEach, prometheusServers } from "../support/servers.ts"
import { isScraped, ruleGroups, scrape } from "../support/tables.ts"

interface Exemplars {
  readonly seriesLabels: Readonly<Record<string, string>>
  readonly exemplars: ReadonlyArray<{
    readonly labels: Readonly<Record<string, string>>
    readonly value: string
    readonly timestamp: number
  }>
}

const dataOf = <A>(text: string): A => (JSON.parse(text) as { readonly data: A }).data

/** Where a server has the tables that the mock is given. */
const paths = {
  targets: "/api/v1/targets?state=active",
  rules: "/api/v1/rules",
  metadata: "/api/v1/metadata",
  exemplars: `/api/v1/query_exemplars?${new URLSearchParams({ query: '{__name__!=""}', start: "0", end: "9999999999" })}`
}

const mockOf = Effect.fnUntraced(function* (real: RealServer, version: string) {
  const text = (path: string) => Effect.map(real.request(path), (response) => response.text)
  const [targets, rules, metadata, exemplars] = yield* Effect.all([
    text(paths.targets),
    text(paths.rules),
    text(paths.metadata),
    text(paths.exemplars)
  ])
  const families = dataOf<Readonly<Record<string, ReadonlyArray<FamilyMetadata>>>>(metadata)
  return new MockPrometheus(
    makeDatabase(
      [],
      Object.entries(families).flatMap(([family, entries]) =>
        entries.map((entry) => [family, entry] as const)
      ),
      {
        targets: dataOf<{ readonly activeTargets: ReadonlyArray<MockTarget> }>(targets).activeTargets,
        ruleGroups: dataOf<{ readonly groups: ReadonlyArray<MockRuleGroup> }>(rules).groups,
        exemplars: dataOf<ReadonlyArray<Exemplars>>(exemplars).flatMap(({ exemplars, seriesLabels }) =>
          exemplars.map(
            ({ labels, timestamp, value }): MockExemplar => ({
              seriesLabels,
              labels,
              value,
              timeMillis: Math.round(timestamp * 1000)
            })
          )
        )
      }
    ),
    { version }
  )
})

describeEach(prometheusServers, "the mock and $name", ({ make, release }) => {
  it.effect("have the same tables", () =>
    Effect.gen(function* () {
      const real = yield* make({ scrape, ruleGroups, flags: ["--enable-feature=exemplar-storage"] })
      yield* Effect.promise(() => isScraped(real.baseUrl))
      const exemplars = (params: Readonly<Record<string, string>>) =>
        `query_exemplars?${new URLSearchParams(params)}`
      const all = { start: "0", end: "9999999999" }
      const requests = [
        ...["targets?state=active", "targets?state=ACTIVE", "targets?state=x", "targets?state=dropped"],
        ...["targets?scrapePool=test", "targets?scrapePool=x", "targets"],
        ...["rules", "rules?type=alert", "rules?type=record", "rules?type=Alert", "rules?type=x", "alerts"],
        ...["metadata", "metadata?limit=1", "metadata?metric=requests"],
        ...[`{__name__!=""}`, "requests_total", `{code="200"}`, "other", "", `{a=""}`, `{a=~".*"}`].map(
          (query) => exemplars({ ...all, query })
        ),
        exemplars({ query: "requests_total" }),
        exemplars({ query: "requests_total", start: "5", end: "1" }),
        exemplars({ query: "requests_total", start: "x" }),
        exemplars({ query: "requests_total", end: "x" }),
        exemplars({ query: "requests_total", start: "1", end: "2" }),
        "query_exemplars"
      ]
      for (const path of requests) {
        const compare = Effect.gen(function* () {
          const mock = yield* mockOf(real, release === 2 ? "2.42.0" : "3.16.0")
          const expected = yield* real.request(`/api/v1/${path}`)
          const url = new URL(`http://mock/api/v1/${path}`)
          const response = mock.handle(makeRequest("GET", url, [], ""), Date.now())
          const text = Buffer.concat([...response.body]).toString("utf8")
          return [
            [path, response.status, text],
            [path, expected.status, expected.text]
          ] as const
        })
        // Something may have been scraped or evaluated in between.
        let [found, expected] = yield* compare
        for (let i = 0; i < 10 && JSON.stringify(found) !== JSON.stringify(expected); i++) {
          ;[found, expected] = yield* compare
        }
        assert.deepStrictEqual(found, expected)
      }
    })
  )
})
