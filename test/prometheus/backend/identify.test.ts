import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { BackendKind } from "../../../src/prometheus/Backend.ts"
import { type Evidence, identify, parseGoDuration } from "../../../src/prometheus/backend/identify.ts"
import { profiles } from "../../../src/prometheus/backend/profiles.ts"

const nothing: Evidence = {
  baseUrl: "http://localhost:9090",
  hasTenant: false,
  isSignedForAmazon: false,
  headers: new Set(),
  members: new Set(),
  refusesAsGoogle: false,
  lacksData: false,
  buildInfo: undefined,
  hasStores: false,
  flags: undefined,
  rollup: undefined
}

const known = (evidence: Partial<Evidence>) => identify({ ...nothing, ...evidence })

const goVersion = "go1.26"

describe("a server", () => {
  it.each<[expected: string, kind: BackendKind, evidence: Partial<Evidence>]>([
    ["unknown", "unknown", {}],
    ["unknown", "unknown", { buildInfo: null }],
    ["Prometheus 2.42.0+ds", "prometheus2", { buildInfo: { version: "2.42.0+ds", goVersion } }],
    ["Prometheus 3.16.0", "prometheus3", { buildInfo: { version: "3.16.0", goVersion } }],
    [
      "Prometheus 3",
      "prometheus3",
      { buildInfo: { version: "", goVersion }, flags: { "auto-gomaxprocs": "true" } }
    ],
    ["Prometheus", "prometheus", { buildInfo: { version: "", goVersion }, flags: {} }],
    ["VictoriaMetrics", "victoriaMetrics", { headers: new Set(["x-server-hostname"]) }],
    ["VictoriaMetrics", "victoriaMetrics", { buildInfo: {} }],
    ["VictoriaMetrics", "victoriaMetrics", { buildInfo: { version: "2.24.0" } }],
    ["VictoriaMetrics cluster", "victoriaMetricsCluster", { members: new Set(["isPartial"]) }],
    [
      "VictoriaMetrics cluster",
      "victoriaMetricsCluster",
      { baseUrl: "http://vm:8481/select/0/prometheus", headers: new Set(["x-server-hostname"]) }
    ],
    ["Thanos 0.42.5", "thanos", { buildInfo: { version: "0.42.5", goVersion } }],
    ["Thanos", "thanos", { members: new Set(["analysis"]) }],
    [
      "Grafana Mimir 3.0.5",
      "mimir",
      { buildInfo: { version: "3.0.5", application: "Grafana Mimir", goVersion } }
    ],
    ["Cortex", "cortex", { buildInfo: null, hasTenant: true }],
    ["Cortex", "cortex", { buildInfo: null, baseUrl: "https://cortex/api/prom" }],
    ["M3", "m3", { headers: new Set(["m3-results-limited"]) }],
    ["Google Managed Service for Prometheus", "google", { refusesAsGoogle: true }],
    [
      "Google Managed Service for Prometheus",
      "google",
      { baseUrl: "https://monitoring.googleapis.com/v1/projects/p/location/global/prometheus" }
    ],
    [
      "Amazon Managed Service for Prometheus",
      "amazon",
      { baseUrl: "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1" }
    ],
    [
      "Amazon Managed Service for Prometheus",
      "amazon",
      {
        baseUrl: "https://vpce-0a1b-2c3d.aps-workspaces.us-east-1.vpce.amazonaws.com/workspaces/ws-1"
      }
    ],
    [
      "Amazon Managed Service for Prometheus",
      "amazon",
      { baseUrl: "https://aps-workspaces-fips.us-gov-west-1.amazonaws.com/workspaces/ws-1" }
    ],
    [
      "Amazon Managed Service for Prometheus",
      "amazon",
      { baseUrl: "https://aps-workspaces.eu-west-1.api.aws/workspaces/ws-1" }
    ],
    // Behind an address of one's own, its policies forbid the endpoint of buildinfo.
    ["Amazon Managed Service for Prometheus", "amazon", { isSignedForAmazon: true }],
    ["Amazon Managed Service for Prometheus", "amazon", { isSignedForAmazon: true, buildInfo: null }],
    ["Thanos", "thanos", { isSignedForAmazon: true, hasStores: true }],
    [
      "Prometheus 2.42.0",
      "prometheus2",
      { isSignedForAmazon: true, buildInfo: { version: "2.42.0", goVersion } }
    ],
    [
      "Azure Monitor managed service for Prometheus",
      "azure",
      { baseUrl: "https://ws-abcd.westeurope.prometheus.monitor.azure.com" }
    ],
    ["Grafana Cloud", "grafanaCloud", { baseUrl: "https://prometheus-prod-01.grafana.net/api/prom" }]
  ])("is %s (%s)", (name, kind, evidence) => {
    const backend = known(evidence)
    assert.deepStrictEqual([backend.name, backend.kind], [name, kind])
    assert.deepStrictEqual(backend.listLimits, profiles[kind].listLimits)
  })

  const passedThrough = { version: "2.42.0", goVersion }

  it.each<[kind: BackendKind, evidence: Partial<Evidence>]>([
    ["victoriaMetrics", { headers: new Set(["x-server-hostname"]) }],
    ["victoriaMetricsCluster", { members: new Set(["isPartial"]) }],
    ["thanos", { hasStores: true }],
    ["google", { refusesAsGoogle: true }],
    // Prometheus itself lacks no data.
    ["unknown", { lacksData: true }]
  ])("is %s, whatever the buildinfo of a server behind it says", (kind, evidence) => {
    const backend = known({ ...evidence, buildInfo: passedThrough })
    assert.strictEqual(backend.kind, kind)
    assert.notInclude(backend.name, "2.42")
  })

  it("is not known by a host that only looks like one", () => {
    for (const baseUrl of [
      "http://monitoring.googleapis.com.example.com",
      "http://mymonitoring.googleapis.com",
      "http://grafana.net",
      "http://aps-workspaces.example.com",
      "http://aps-workspaces.eu-west-1.amazonaws.com.example.com",
      "http://my-aps-workspaces.eu-west-1.amazonaws.com"
    ]) {
      assert.strictEqual(known({ baseUrl }).kind, "unknown", baseUrl)
    }
  })
})

describe("the look-back", () => {
  const prometheus = { buildInfo: { version: "2.42.0", goVersion } }

  it.each([
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["300s", 300_000],
    ["1m30.5s", 90_500],
    ["250ms", 250],
    ["1d", 86_400_000],
    ["0s", 300_000],
    ["", 300_000],
    ["soon", 300_000],
    ["-5m", 300_000],
    ["99999h", 300_000]
  ])("that a server reports as %s is %i ms", (text, millis) => {
    const backend = known({ ...prometheus, flags: { "query.lookback-delta": text } })
    assert.strictEqual(backend.lookbackMillis, millis)
    assert.strictEqual(backend.latestSample("up"), "up")
  })

  it("is five minutes where no server reports it", () => {
    assert.strictEqual(known({}).lookbackMillis, 300_000)
  })

  it.prop(
    "of hours, minutes and seconds is their sum",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 })),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 59 })),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 59 }))
    ],
    ([hours, minutes, seconds]) => {
      assert.strictEqual(
        parseGoDuration(`${hours}h${minutes}m${seconds}s`),
        ((hours * 60 + minutes) * 60 + seconds) * 1000
      )
    }
  )

  const victoria = { headers: new Set(["x-server-hostname"]) }

  it("of VictoriaMetrics is fixed in the query", () => {
    const own = { "query.lookback-delta": "1h" }
    const fixed = known({ ...victoria, rollup: "fixed", flags: own })
    assert.strictEqual(fixed.latestSample('{a="b"}'), 'default_rollup({a="b"}[5m])')
    assert.strictEqual(fixed.lookbackMillis, 300_000)
    const guarded = 'default_rollup({a="b"}[5m]) if count_over_time({a="b"}[5m])'
    assert.strictEqual(known({ ...victoria, rollup: "growing" }).latestSample('{a="b"}'), guarded)
    // It did not respond in time: this is right on all releases.
    assert.strictEqual(known(victoria).latestSample('{a="b"}'), guarded)
  })

  it("is that of the server where it only looks like VictoriaMetrics", () => {
    assert.strictEqual(known({ ...victoria, rollup: "none" }).latestSample("up"), "up")
    assert.strictEqual(known({ members: new Set(["isPartial"]) }).latestSample("up"), "up")
  })
})
