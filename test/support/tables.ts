/** What a real Prometheus scrapes and evaluates to have all of its own tables. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Scrape } from "./RealPrometheus.ts"

/** A counter with an exemplar at the time of each scrape, and metadata with all that may have to be escaped. */
export const scrape: Scrape = {
  text: () =>
    [
      '# HELP requests Requests <b>handled</b> & "counted".',
      "# TYPE requests counter",
      `requests_total{code="200"} 5 # {trace_id="abc",note="a b"} 0.5 ${(Date.now() / 1000).toFixed(3)}`,
      'requests_total{code="500"} 1',
      "# TYPE temperature_celsius gauge",
      "# UNIT temperature_celsius celsius",
      "temperature_celsius 20",
      "# EOF\n"
    ].join("\n"),
  // Scrapes and evaluations leave time to compare several responses.
  intervalSeconds: 5
}

/** An alert that fires, one that is pending, one that is inactive, and a recorded metric. */
export const ruleGroups: ReadonlyArray<object> = [
  {
    name: "one",
    interval: "5s",
    rules: [
      { record: "requests:sum", expr: "sum(requests_total) ", labels: { from: "rule" } },
      {
        alert: "Up",
        expr: "up == 1",
        labels: { severity: "page" },
        annotations: { summary: "{{ $labels.job }} is up" }
      },
      { alert: "Warm", expr: "temperature_celsius > 10", for: "1h" }
    ]
  },
  {
    name: "two",
    interval: "5s",
    rules: [{ alert: "Never", expr: "up == 7", for: "5m", keep_firing_for: "1m" }]
  }
]

/** Waits until a server that scrapes and evaluates these has an exemplar, a firing and a pending alert, and metadata. */
export const isScraped = async (baseUrl: string): Promise<void> => {
  const text = async (path: string) => (await fetch(`${baseUrl}/api/v1/${path}`)).text()
  for (;;) {
    const alerts = await text("alerts")
    const exemplars = await text(
      `query_exemplars?${new URLSearchParams({ query: "requests_total", start: "0", end: "9999999999" })}`
    )
    const isComplete =
      alerts.includes('"firing"') &&
      alerts.includes('"pending"') &&
      exemplars.includes("trace_id") &&
      (await text("metadata")).includes("celsius")
    if (isComplete) return
    await sleep(100)
  }
}
