/** Prints a metric, sample by sample. Run it with `node read-metric.ts`. */
import { Console, Effect, Layer, Stream } from "effect"
import { ConnectorConfig, PrometheusClient, samples } from "source-prometheus"

const base_url = process.env.PROMETHEUS_URL ?? "http://localhost:9090"
const config = ConnectorConfig.layer({ base_url, start_date: "2026-01-01", step: "1h" })

await samples("up").pipe(
  Stream.runForEach(({ labels, time, value }) => Console.log(time.toISOString(), labels.instance, value)),
  Effect.provide(PrometheusClient.layer.pipe(Layer.provideMerge(config))),
  Effect.runPromise
)
