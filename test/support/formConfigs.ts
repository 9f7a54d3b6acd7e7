/** Configurations as forms send them: in every form that the documentation promises, and some that forms must refuse. */

type Json = Readonly<Record<string, unknown>>

const minimal = { base_url: "http://localhost:9090", start_date: "2026-01-01", step: 3600 }

const oauth2 = {
  auth_type: "oauth2",
  token_url: "https://login.microsoftonline.com/0b1c/oauth2/v2.0/token",
  client_id: "id",
  client_secret: "secret"
}

const aws = { auth_type: "aws_sigv4", region: "eu-central-1" }

/** Valid configurations. */
export const accepted: ReadonlyArray<Json> = [
  minimal,
  ...[
    "https://prometheus.example.com",
    "https://example.com/prometheus/",
    "http://[::1]:9090",
    "HTTPS://EXAMPLE.COM",
    "https://bücher.example/a%20b"
  ].map((base_url) => ({ ...minimal, base_url })),
  ...["1970-01-01", "2026-01-01", "2024-02-29", "2026-01-01T12:00:00Z", "9999-12-31T23:59:59Z"].flatMap(
    (date) => [
      { ...minimal, start_date: "1970-01-01", end_date: date },
      { ...minimal, start_date: date }
    ]
  ),
  { ...minimal, basic_auth_user: "u", basic_auth_pass: "" },
  { ...minimal, basic_auth_user: "", basic_auth_pass: "", selector: "", end_date: undefined },
  ...[
    { auth_type: "none" },
    { auth_type: "bearer_token", token: "eyJhbGciOi.J9.x-_~+/==" },
    oauth2,
    {
      ...oauth2,
      scopes: [".default", "read"],
      audience: "https://prometheus.example.com",
      parameters: [{ name: "resource", value: "https://r" }],
      client_secret_in: "body"
    },
    { ...oauth2, token_url: "http://keycloak:8080/realms/a/protocol/openid-connect/token?x=1", scopes: [] },
    aws,
    { ...aws, service: "execute-api", access_key_id: "AKIA", secret_access_key: "x", session_token: "y" },
    { ...aws, role_arn: "arn:aws-cn:iam::123456789012:role/path/reader", external_id: "tenant" },
    { auth_type: "google" }
  ].map((authentication) => ({ ...minimal, authentication })),
  { ...minimal, basic_auth_user: "u", basic_auth_pass: "p", authentication: { auth_type: "none" } },
  { ...minimal, tls: {} },
  { ...minimal, tls: { server_name: "prometheus.internal", verify: false } },
  ...["http://proxy:3128", "https://user:p%40ss@proxy.example.com"].map((proxy_url) => ({
    ...minimal,
    proxy_url
  })),
  {
    ...minimal,
    headers: [{ name: "X-Scope-OrgID", value: "tenant" }],
    parameters: [
      { name: "namespace", value: "monitoring" },
      { name: "extra_filters[]", value: '{env="prod"}' },
      { name: "extra_filters[]", value: "" }
    ]
  },
  {
    ...minimal,
    queries: [
      { name: "by_job", expression: "sum by (job) (up)" },
      { name: "hourly", expression: "sum(increase(x_total[1h]))", step: 3600 }
    ],
    groups: [{ name: "node", metrics: { include: ["node_*"], exclude: [] } }],
    overrides: [
      { metrics: "cpu_*", step: 15 },
      { metrics: "kube_.+", selector: '{cluster="a"}' }
    ],
    tables: ["targets", "exemplars"]
  }
]

/** Configurations that a form refuses already. */
export const refused: ReadonlyArray<Json> = [
  { auth_type: "bearer_token" },
  { auth_type: "bearer", token: "t" },
  { token: "t" },
  "bearer_token",
  { ...oauth2, client_secret: undefined },
  { ...oauth2, scopes: "read" },
  { ...oauth2, client_secret_in: "query" },
  { ...aws, region: undefined },
  { auth_type: "google", service_account_key: { type: "service_account" } }
]
  .map((authentication): Json => ({ ...minimal, authentication }))
  .concat([
    { ...minimal, start_date: "2026-01-01 12:00:00" },
    { ...minimal, start_date: "2026-01-01T12:00:00+01:00" },
    { ...minimal, end_date: "01.02.2026" },
    { ...minimal, tls: { verify: "no" } },
    { ...minimal, tls: { ca_certificate: ["x"] } },
    { ...minimal, proxy_url: 3128 },
    { ...minimal, parameters: { namespace: "a" } },
    { ...minimal, parameters: [{ name: "a" }] },
    { ...minimal, queries: [{ name: "a" }] },
    { ...minimal, queries: [{ name: "a", expression: "up", step: 0 }] },
    { ...minimal, groups: [{ name: "a" }] },
    { ...minimal, overrides: [{ step: 60 }] },
    { ...minimal, tables: ["up"] }
  ])
