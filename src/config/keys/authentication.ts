/** Who reads: the keys of all methods of authentication. */
import * as kind from "../kinds.ts"

/** Username and password, and all other methods. */
export const authenticationKeys = {
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
            description: "Scopes to request for the token. Leave empty if the server needs none.",
            examples: [["https://prometheus.monitor.azure.com/.default"]],
            flag: {
              name: "scope",
              metavar: "SCOPE",
              description: "Scope to request for the token; repeat it for more scopes",
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
            description: "External ID that the role requires of other accounts.",
            examples: ["tenant-4711"],
            flag: {
              name: "aws-external-id",
              metavar: "ID",
              description: "External ID that the role requires of other accounts",
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
  )
}
