/** Which streams there are, and what they select. */
import { joinGroups, parseGroupFlag } from "../groupFlag.ts"
import * as kind from "../kinds.ts"
import { parseQueryFlag } from "../queryFlag.ts"
import { TEN_YEARS } from "./durations.ts"

/** Metrics, queries, groups, overrides and tables. */
export const streamKeys = {
  metrics: kind.object(
    {
      include: kind.patterns({
        title: "Include",
        description:
          "Replicate only metrics whose name matches one of these patterns. Leave empty for all metrics.",
        examples: [["node_*", "http_requests_total"]],
        flag: {
          name: "select",
          metavar: "PATTERN",
          description: "Read only these metrics, such as 'node_*'; repeat it for more patterns"
        }
      }),
      exclude: kind.patterns({
        title: "Exclude",
        description: "Skip metrics whose name matches one of these patterns.",
        examples: [["go_*", ".*_bucket"]],
        flag: {
          name: "exclude",
          metavar: "PATTERN",
          description: "Skip these metrics; repeat it for more patterns"
        }
      })
    },
    {
      title: "Metrics",
      group: "selection",
      alwaysShow: true,
      description:
        "Which metrics to replicate. A pattern must match the complete name: * stands for any characters and ? for one. A dot is part of a name: http.server.duration is one metric, *.duration matches all names that end in .duration. A pattern with .* or other special characters is an RE2 regular expression, as in Prometheus."
    }
  ),
  selector: kind.matchers({
    title: "Selector",
    group: "selection",
    description: "Label matchers to add to every query, to replicate only some of the series.",
    examples: ['{env="prod",job=~"api.*"}']
  }),
  queries: kind.objects(
    {
      name: kind.streamName({
        title: "Name",
        description: "Name of the stream.",
        isRequired: true,
        examples: ["http_requests_by_job"]
      }),
      expression: kind.expression({
        title: "Expression",
        description: "The PromQL expression. The selector above is not added to it.",
        isRequired: true,
        examples: ["sum by (job) (rate(http_requests_total[5m]))"]
      }),
      step: kind.seconds({
        title: "Step",
        description: "Seconds between two data points, if they are not those of the other streams.",
        examples: [300],
        min: 1,
        max: TEN_YEARS
      })
    },
    {
      title: "Queries",
      group: "selection",
      description: "PromQL expressions. Each becomes a stream.",
      example: {
        name: "http_requests_by_job",
        expression: "sum by (job) (rate(http_requests_total[5m]))",
        step: 300
      },
      flag: {
        name: "query",
        metavar: "NAME[@STEP]=EXPRESSION",
        description:
          "Read the values of this PromQL expression too, as a table of that name: 'errors@5m=sum(rate(errors_total[5m]))'; repeat it for more",
        parse: parseQueryFlag,
        isAdded: true
      }
    }
  ),
  groups: kind.objects(
    {
      name: kind.streamName({
        title: "Name",
        description: "Name of the stream.",
        isRequired: true,
        examples: ["node"]
      }),
      metrics: kind.object(
        {
          include: kind.patterns({
            title: "Include",
            description: "Patterns for the names of its metrics. Leave empty for all metrics.",
            examples: [["node_*"]]
          }),
          exclude: kind.patterns({
            title: "Exclude",
            description: "Patterns for the names of metrics that are not in the group.",
            examples: [["node_scrape_*"]]
          })
        },
        {
          title: "Metrics",
          isRequired: true,
          description:
            "Which of the replicated metrics are in the group, by patterns like those of all metrics."
        }
      )
    },
    {
      title: "Groups",
      group: "selection",
      description:
        "Groups of metrics. The metrics of a group share one stream, with a column for the name of the metric and all labels in one object.",
      example: { name: "node", metrics: { include: ["node_*"] } },
      flag: {
        name: "group",
        metavar: "NAME=PATTERN",
        description:
          "Read these metrics into one table of that name, such as 'node=node_*'; repeat it for more patterns and groups",
        parse: parseGroupFlag,
        join: joinGroups,
        isAdded: true
      }
    }
  ),
  overrides: kind.objects(
    {
      metrics: kind.pattern({
        title: "Metrics",
        description: "Pattern for the names of the metrics, like those of all metrics.",
        isRequired: true,
        examples: ["node_*"]
      }),
      step: kind.seconds({
        title: "Step",
        description: "Seconds between two data points of these metrics.",
        examples: [60],
        min: 1,
        max: TEN_YEARS
      }),
      selector: kind.matchers({
        title: "Selector",
        description: "Label matchers for these metrics, in place of the selector above.",
        examples: ['{env="prod"}']
      }),
      sampling: kind.choice(["step", "raw"], {
        title: "Sampling",
        description: "step or raw for these metrics, instead of the general sampling.",
        examples: ["raw"]
      })
    },
    {
      title: "Overrides",
      group: "selection",
      description:
        "Another step, selector or sampling for some metrics. The first override that matches a metric applies.",
      example: { metrics: "node_*", step: 60 }
    }
  ),
  tables: kind.choices(["targets", "rules", "alerts", "metadata", "exemplars"], {
    title: "Tables",
    group: "selection",
    description:
      "Tables of Prometheus itself to replicate, as the streams prometheus_targets, prometheus_rules, prometheus_alerts, prometheus_metadata and prometheus_exemplars.",
    examples: [["targets", "alerts"]],
    flag: {
      name: "table",
      metavar: "NAME",
      description:
        "Read a table of Prometheus itself too: targets, rules, alerts, metadata or exemplars; repeat it for more tables",
      isAdded: true
    }
  })
}
