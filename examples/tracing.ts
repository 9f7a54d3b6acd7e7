/**
 * Sends the spans of a read to an OpenTelemetry collector, such as Jaeger: one per window and one per request. Run it with
 * `node tracing.ts`.
 */
import { Console, Effect, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import { ConnectorConfig, PrometheusClient, samples } from "source-prometheus"

const collector = process.env.OTEL_EXPORTER_OTLP_ENDPOINT ?? "http://localhost:4318"
const tracing = OtlpTracer.layer({
  url: `${collector}/v1/traces`,
  resource: { serviceName: "metrics-export" }
}).pipe(Layer.provide(OtlpSerialization.layerJson), Layer.provide(FetchHttpClient.layer))

const config = ConnectorConfig.layer({
  base_url: process.env.PROMETHEUS_URL ?? "http://localhost:9090",
  start_date: "2026-01-01",
  step: "1h"
})

await Stream.runCount(samples("up")).pipe(
  Effect.tap((count) => Console.log(`${count} samples`)),
  Effect.withSpan("export"),
  Effect.provide(PrometheusClient.layer.pipe(Layer.provideMerge(config), Layer.merge(tracing))),
  Effect.runPromise
)
