/**
 * The keys of the configuration, one row each. Decoding, defaults, messages, the JSON Schema of `spec`, flags, masking and the
 * reference in the documentation are derived from these rows.
 */
import type { Schema } from "effect"
import { joinGroups, parseGroupFlag } from "./groupFlag.ts"
import { type Fields, schemaOf } from "./Key.ts"
import * as kind from "./kinds.ts"
import { parseQueryFlag } from "./queryFlag.ts"

const ONE_DAY = 86_400

/** A larger value is a mistake. */
const TEN_YEARS = 3650 * ONE_DAY

/** All keys, in the order in which forms show them. */
export const keys = {
  base_url: kind.url({
    title: "Base URL",
    group: "connection",
    description: "Address of the Prometheus server, including its path prefix if it has one.",
    isRequired: true,
    examples: ["https://prometheus.example.com", "https://example.com/prometheus"],
    flag: {
      name: "url",
      metavar: "URL",
      description: "Address of the Prometheus server, such as http://localhost:9090",
      isOfServer: true
    }
  }),
  basic_auth_user: kind.text({
    title: "Basic auth username",
    group: "connection",
    description:
      "Username for HTTP basic authentication. Leave username and password empty if the server needs none.",
    examples: ["reader"],
    flag: {
      name: "user",
      metavar: "NAME",
      description: "Username for basic authentication",
      isOfServer: true
    }
  }),
  basic_auth_pass: kind.secretText({
    title: "Basic auth password",
    group: "connection",
    description: "Password for HTTP basic authentication.",
    flag: {
      name: "password-file",
      metavar: "FILE",
      description: "File that contains the password; an empty file is an empty password",
      mayBeEmpty: true,
      variable: "SOURCE_PROMETHEUS_PASSWORD",
      isOfServer: true
    }
  }),
  authentication: kind.oneOf(
    "auth_type",
    {
      none: {
        title: "None, or username and password",
        description: "No authentication, or basic authentication with the username and password above.",
        keys: {}
      },
      bearer_token: {
        title: "Bearer token",
        description: "A fixed token, such as an API token or that of a service account of Kubernetes.",
        keys: {
          token: kind.bearerToken({
            title: "Token",
            description: "Sent with every request as Authorization: Bearer.",
            isRequired: true,
            flag: {
              name: "token-file",
              metavar: "FILE",
              description: "File that contains a bearer token",
              variable: "SOURCE_PROMETHEUS_TOKEN",
              isOfServer: true
            }
          })
        }
      },
      oauth2: {
        title: "OAuth 2.0 client credentials",
        description: "Tokens from an OAuth 2.0 server, such as Microsoft Entra ID, Keycloak, Okta or Auth0.",
        keys: {
          token_url: kind.pageUrl({
            title: "Token URL",
            description: "Address where the OAuth 2.0 server issues tokens.",
            isRequired: true,
            examples: ["https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"],
            flag: {
              name: "token-url",
              metavar: "URL",
              description: "Where an OAuth 2.0 server issues tokens",
              isOfServer: true
            }
          }),
          client_id: kind.text({
            title: "Client ID",
            description: "ID of this connector at the OAuth 2.0 server, also called application ID.",
            isRequired: true,
            examples: ["source-prometheus"],
            flag: {
              name: "client-id",
              metavar: "ID",
              description: "Name of this client for the OAuth 2.0 server",
              isOfServer: true
            }
          }),
          client_secret: kind.secretText({
            title: "Client secret",
            description: "Secret that the OAuth 2.0 server has issued for this client ID.",
            isRequired: true,
            flag: {
              name: "client-secret-file",
              metavar: "FILE",
              description: "File that contains the secret of this client",
              variable: "SOURCE_PROMETHEUS_CLIENT_SECRET",
              isOfServer: true
            }
          }),
          scopes: kind.texts({
            title: "Scopes",
            description: "What the token is requested for. Leave empty if the server needs none.",
            examples: [["https://prometheus.monitor.azure.com/.default"]],
            flag: {
              name: "scope",
              metavar: "SCOPE",
              description: "What the token is requested for; repeat it for more scopes",
              isOfServer: true
            }
          }),
          audience: kind.text({
            title: "Audience",
            description:
              "Server that the token is for, where the OAuth 2.0 server asks for it, as Auth0 does.",
            examples: ["https://prometheus.example.com"],
            flag: {
              name: "audience",
              metavar: "NAME",
              description: "Server that the token is for, as Auth0 asks for it",
              isOfServer: true
            }
          }),
          parameters: kind.objects(
            {
              name: kind.text({
                title: "Name",
                description: "Name of the parameter.",
                isRequired: true,
                examples: ["resource"]
              }),
              value: kind.secretText({
                title: "Value",
                description: "Value of the parameter.",
                isRequired: true,
                examples: ["https://prometheus.example.com"]
              })
            },
            {
              title: "Other parameters",
              description: "Further parameters of the request for a token.",
              example: { name: "resource", value: "https://prometheus.example.com" },
              flag: {
                name: "token-parameter-file",
                metavar: "FILE",
                description:
                  "File with further parameters of the request for a token, NAME=VALUE on each line",
                separator: "=",
                variable: "SOURCE_PROMETHEUS_TOKEN_PARAMETERS",
                isAdded: true,
                isOfServer: true
              }
            }
          ),
          client_secret_in: kind.choice(["header", "body"], {
            title: "Send the client secret in",
            description:
              "header: as basic authentication. body: among the parameters, for servers that read it only there.",
            default: "header",
            flag: {
              name: "client-secret-in",
              metavar: "header|body",
              description: "How the secret of this client is sent (default: header)",
              isOfServer: true
            }
          })
        }
      },
      aws_sigv4: {
        title: "AWS Signature Version 4",
        description: "For Amazon Managed Service for Prometheus, and other services of AWS.",
        keys: {
          region: kind.textLike(/^[A-Za-z0-9-]+$/, "the name of a region such as eu-central-1", {
            title: "Region",
            description: "AWS region of the workspace.",
            isRequired: true,
            examples: ["eu-central-1"],
            flag: {
              name: "aws-region",
              metavar: "REGION",
              description:
                "Sign requests for AWS in this region; access keys come from AWS's own variables and profiles, or from the machine's role",
              isOfServer: true
            }
          }),
          service: kind.textLike(/^[A-Za-z0-9._-]+$/, "the name of a service such as aps", {
            title: "Service",
            description: "Name of the service in signatures: aps for Amazon Managed Service for Prometheus.",
            default: "aps",
            examples: ["aps"],
            flag: {
              name: "aws-service",
              metavar: "NAME",
              description: "Name of AWS's service in signatures (default: aps)",
              isOfServer: true
            }
          }),
          access_key_id: kind.textLike(/^[\x21-\x7e]+$/, "an access key ID such as AKIAIOSFODNN7EXAMPLE", {
            title: "Access key ID",
            description:
              "Leave it and the secret access key empty to use the credentials of the machine: AWS's environment variables and profiles, and the roles of EC2, ECS and EKS.",
            examples: ["AKIAIOSFODNN7EXAMPLE"]
          }),
          secret_access_key: kind.secretText({
            title: "Secret access key",
            description: "Secret of the access key."
          }),
          session_token: kind.headerSecret({
            title: "Session token",
            description: "Only for temporary access keys."
          }),
          role_arn: kind.textLike(
            /^arn:[\w-]+:iam::\d+:role\/[\x21-\x7e]+$/,
            "the ARN of a role such as arn:aws:iam::123456789012:role/prometheus-reader",
            {
              title: "Role",
              description: "ARN of a role to assume with these credentials.",
              examples: ["arn:aws:iam::123456789012:role/prometheus-reader"],
              flag: {
                name: "aws-role",
                metavar: "ARN",
                description: "ARN of a role of AWS to assume",
                isOfServer: true
              }
            }
          ),
          external_id: kind.text({
            title: "External ID",
            description: "What the role demands of other accounts that assume it.",
            examples: ["tenant-4711"],
            flag: {
              name: "aws-external-id",
              metavar: "ID",
              description: "What the role demands of other accounts",
              isOfServer: true
            }
          })
        }
      },
      google: {
        title: "Google Cloud",
        description: "For Google Cloud Managed Service for Prometheus.",
        keys: {
          service_account_key: kind.serviceAccountKey({
            title: "Service account key",
            description:
              "JSON key of a service account. Leave it empty to use the credentials of the machine: that of GOOGLE_APPLICATION_CREDENTIALS, or its own service account.",
            examples: ['{"type": "service_account", "private_key": "…", "client_email": "…", …}'],
            flag: {
              name: "service-account-file",
              metavar: "FILE",
              description: "JSON key of a service account of Google Cloud",
              isOfServer: true
            }
          })
        }
      }
    },
    {
      title: "Authentication",
      group: "connection",
      alwaysShow: true,
      description: "How requests are authenticated, other than by username and password.",
      flag: {
        name: "auth",
        metavar: "TYPE",
        description:
          "Method of authentication, if no other flag selects it: google or aws_sigv4 with the credentials of the machine",
        isOfServer: true
      }
    }
  ),
  tls: kind.object(
    {
      ca_certificate: kind.certificates({
        title: "CA certificates",
        description:
          "PEM text with the authorities that have signed the server's certificate, in addition to those of the system.",
        examples: ["-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"],
        flag: {
          name: "ca-file",
          metavar: "FILE",
          description: "Certificates (PEM) of the authorities that have signed the server's",
          isFile: true,
          isOfServer: true
        }
      }),
      client_certificate: kind.certificates({
        title: "Client certificate",
        description: "PEM text with the certificate for this client, if the server demands one.",
        examples: ["-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"],
        flag: {
          name: "cert-file",
          metavar: "FILE",
          description: "Certificate (PEM) for this client",
          isFile: true,
          isOfServer: true
        }
      }),
      client_key: kind.secretLines({
        title: "Client key",
        description: "PEM text with the private key of the client certificate.",
        examples: ["-----BEGIN PRIVATE KEY-----\nMIIE…\n-----END PRIVATE KEY-----\n"],
        flag: {
          name: "key-file",
          metavar: "FILE",
          description: "Private key (PEM) of the client certificate",
          isOfServer: true
        }
      }),
      client_key_passphrase: kind.secretText({
        title: "Passphrase of the client key",
        description: "Only if the key is encrypted.",
        flag: {
          name: "key-passphrase-file",
          metavar: "FILE",
          description: "File that contains the passphrase of the private key",
          variable: "SOURCE_PROMETHEUS_KEY_PASSPHRASE",
          isOfServer: true
        }
      }),
      server_name: kind.text({
        title: "Server name",
        description: "Name that the server's certificate must have, if it is not the host of the base URL.",
        examples: ["prometheus.internal"],
        flag: {
          name: "server-name",
          metavar: "NAME",
          description: "Name that the server's certificate must have, if it is not the host of --url",
          isOfServer: true
        }
      }),
      verify: kind.boolean({
        title: "Verify the server's certificate",
        description:
          "Turn off only for a test: without it, anyone on the way can read and change what is sent, credentials included.",
        default: true,
        flag: {
          name: "insecure",
          description:
            "Do not verify the server's certificate: anyone on the way can read and change what is sent",
          sets: false,
          isOfServer: true
        }
      })
    },
    {
      title: "TLS",
      group: "connection",
      description: "Certificates for https, where those of the system are not enough."
    }
  ),
  proxy_url: kind.proxyUrl({
    title: "Proxy",
    group: "connection",
    description:
      "URL of an HTTP proxy for all requests, with user and password if it needs them. Leave empty to use the environment variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
    examples: ["http://proxy.example.com:3128"],
    flag: {
      name: "proxy",
      metavar: "URL",
      description:
        "Proxy for all requests; by default HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment",
      refusal: (value) =>
        value.includes("@")
          ? "must not contain a user or password, because all users of the machine can see flags (its value is not shown): set HTTPS_PROXY in the environment, or proxy_url in a configuration file"
          : undefined,
      isOfServer: true
    }
  }),
  headers: kind.objects(
    {
      name: kind.text({
        title: "Name",
        description: "Name of the header.",
        isRequired: true,
        examples: ["X-Scope-OrgID"]
      }),
      value: kind.secretText({
        title: "Value",
        description: "Value of the header.",
        isRequired: true,
        examples: ["tenant"]
      })
    },
    {
      title: "HTTP headers",
      group: "connection",
      description: "Headers to send with every request, for example X-Scope-OrgID for Mimir.",
      example: { name: "X-Scope-OrgID", value: "tenant" },
      flag: {
        name: "header-file",
        metavar: "FILE",
        description: "File with headers to send with every request, NAME: VALUE on each line",
        separator: ": ",
        variable: "SOURCE_PROMETHEUS_HEADERS",
        isAdded: true,
        isOfServer: true
      }
    }
  ),
  parameters: kind.objects(
    {
      name: kind.text({
        title: "Name",
        description: "Name of the parameter.",
        isRequired: true,
        examples: ["namespace"]
      }),
      value: kind.secretText({
        title: "Value",
        description: "Value of the parameter.",
        isRequired: true,
        examples: ["monitoring"]
      })
    },
    {
      title: "URL parameters",
      group: "connection",
      description:
        "Parameters to add to the address of every request, for example namespace for OpenShift or an API key.",
      example: { name: "namespace", value: "monitoring" },
      flag: {
        name: "parameter-file",
        metavar: "FILE",
        description: "File with parameters for the address of every request, NAME=VALUE on each line",
        separator: "=",
        variable: "SOURCE_PROMETHEUS_PARAMETERS",
        isAdded: true,
        isOfServer: true
      }
    }
  ),
  start_date: kind.moment({
    title: "Start date",
    group: "selection",
    description: "Replicate data from this date or time (UTC).",
    isRequired: true,
    examples: ["2026-01-01", "2026-01-01T00:00:00Z"],
    flag: {
      name: "start",
      metavar: "DATE",
      description: "Read data from this date or time (UTC): 2026-01-01 or 2026-01-01T00:00:00Z"
    }
  }),
  step: kind.seconds({
    title: "Step",
    group: "selection",
    description: "Seconds between two data points of a series. An hour is 3600.",
    examples: [3600],
    isRequired: true,
    default: 3600,
    min: 1,
    max: TEN_YEARS,
    flag: {
      name: "step",
      metavar: "DURATION",
      description: "Time between two data points, such as 15s, 5m or 1h (default: 1h)"
    }
  }),
  end_date: kind.moment({
    title: "End date",
    group: "selection",
    description: "Replicate data up to this date or time (UTC). Leave empty to continue up to the present.",
    examples: ["2026-02-01", "2026-02-01T12:00:00Z"],
    flag: { name: "end", metavar: "DATE", description: "Stop at this date or time instead of the present" }
  }),
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
        "Which metrics to replicate. A pattern must match the complete name: * stands for any characters and ? for one. A dot is part of a name: http.server.duration is one metric, *.duration all that end so. A pattern with .* or other special characters is an RE2 regular expression, as in Prometheus."
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
      })
    },
    {
      title: "Overrides",
      group: "selection",
      description:
        "Another step or selector for some metrics. The first override that matches a metric applies.",
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
  }),
  label_columns: kind.boolean({
    title: "One column per label",
    group: "selection",
    description: "Turn off to get all labels of a series in one object column named labels.",
    default: true
  }),
  exclude_labels: kind.labelNames({
    title: "Excluded labels",
    group: "selection",
    description:
      "Labels to leave out of every record, for example because they contain personal data. The series_id of a series does not change.",
    examples: [["user_email", "client_ip"]],
    flag: {
      name: "exclude-label",
      metavar: "NAME",
      description:
        "Leave this label out of all records, for example because it contains personal data; repeat it for more labels",
      isAdded: true
    }
  }),
  lookback_window: kind.seconds({
    title: "Lookback window",
    group: "tuning",
    description:
      "Seconds before its cursor that each incremental sync reads again, to include samples that arrived late.",
    examples: [3600],
    default: 0,
    min: 0,
    max: TEN_YEARS
  }),
  settle_delay: kind.seconds({
    title: "Settle delay",
    group: "tuning",
    description:
      "Data points younger than this many seconds, by the server's clock, are left for the next sync.",
    examples: [60],
    default: 60,
    min: 0,
    max: TEN_YEARS
  }),
  concurrency: kind.integer({
    title: "Concurrency",
    group: "tuning",
    description: "Number of queries to run on the server at the same time.",
    examples: [4],
    default: 4,
    min: 1,
    max: 64
  }),
  request_timeout: kind.seconds({
    title: "Request timeout",
    group: "tuning",
    description: "Seconds to wait for a response to start, or to continue, before the request is retried.",
    examples: [120],
    default: 120,
    min: 1,
    max: ONE_DAY
  }),
  max_retries: kind.integer({
    title: "Retries",
    group: "tuning",
    description: "Number of times to retry a request that failed for a temporary reason.",
    examples: [5],
    default: 5,
    min: 0,
    max: 20
  }),
  compression: kind.choice(["none", "gzip"], {
    title: "Compression",
    group: "tuning",
    description:
      "gzip saves bandwidth on a slow network. none saves the server CPU time and is faster on a local network.",
    default: "none"
  }),
  partial_data: kind.choice(["fail", "accept"], {
    title: "Partial data",
    group: "tuning",
    description:
      "What to do when the server warns that a response may lack data, as Thanos does when a store is unavailable. fail: the stream fails, and the next sync reads the data again. accept: the data is replicated, and a warning is logged.",
    default: "fail"
  }),
  damaged_data: kind.choice(["fail", "skip"], {
    title: "Damaged data",
    group: "tuning",
    description:
      "What to do when the server cannot return some points although it returns those around them, because part of its own data is damaged. Everything else is replicated in both cases. fail: the stream fails, and the next sync tries these points again. skip: a warning names the points, and later syncs do not try them again.",
    default: "fail",
    flag: {
      name: "damaged-data",
      metavar: "fail|skip",
      description:
        "What to do about points that the server cannot return because its data is damaged (default: fail)"
    }
  }),
  max_source_resolution: kind.choice(["raw", "auto", "5m", "1h"], {
    title: "Resolution of Thanos",
    group: "tuning",
    description:
      "Which blocks of Thanos may be read. raw: only samples as they were scraped. auto, 5m, 1h: downsampled ones too, as coarse as that, where Thanos keeps raw samples for a shorter time. Other servers ignore it.",
    default: "raw"
  })
}

/** Decodes a configuration. */
export const ConfigSchema: Schema.Struct<Fields<typeof keys>> = schemaOf(keys)

/** The decoded configuration: durations are integer seconds, and defaults are applied. */
export type Config = typeof ConfigSchema.Type

/** The configuration before decoding. Only `base_url` and `start_date` are required. Durations may be strings such as `"1h"`. */
export type ConfigInput = typeof ConfigSchema.Encoded
