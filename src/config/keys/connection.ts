/** How the server is reached. */
import * as kind from "../kinds.ts"

/** The address of the server. */
export const addressKeys = {
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
  })
}

/** TLS, proxies, and what is added to every request. */
export const connectionKeys = {
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
  )
}
