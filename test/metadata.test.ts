/** The metadata for registries, platforms and CI, which has to be right before anything starts. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Ajv } from "ajv"
import addFormats from "ajv-formats"
import { parse } from "yaml"
import packageJson from "../package.json" with { type: "json" }
import { keysWithPaths } from "../src/config/Key.ts"
import { keys } from "../src/config/keys.ts"
import * as dockerfile from "./shipping/dockerfile.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const text = (path: string) => readFileSync(join(root, path), "utf8")

const string = { type: "string", minLength: 1 }
const only = (properties: object, required: ReadonlyArray<string> = Object.keys(properties)) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false
})

/** What Airbyte's definition (`ConnectorMetadataDefinitionV0`) says of the keys that are used here; it allows no others. */
const definition = only({
  metadataSpecVersion: { const: "1.0" },
  data: only({
    name: string,
    definitionId: { type: "string", format: "uuid" },
    connectorType: { const: "source" },
    connectorSubtype: { const: "api" },
    dockerRepository: string,
    dockerImageTag: { type: "string", pattern: "^\\d+\\.\\d+\\.\\d+$" },
    documentationUrl: { type: "string", format: "uri" },
    githubIssueLabel: string,
    icon: string,
    license: { const: "MIT" },
    releaseStage: { enum: ["alpha", "beta", "generally_available", "custom"] },
    supportLevel: { enum: ["community", "certified", "enterprise", "archived"] },
    tags: { type: "array", items: string },
    registryOverrides: only({
      oss: only({ enabled: { type: "boolean" } }),
      cloud: only({ enabled: { type: "boolean" } })
    }),
    allowedHosts: only({ hosts: { type: "array", items: string, minItems: 1 } }),
    maxSecondsBetweenMessages: { type: "integer", minimum: 1 },
    resourceRequirements: only({
      jobSpecific: {
        type: "array",
        items: only({
          jobType: { enum: ["sync", "check_connection", "discover_schema", "get_spec"] },
          resourceRequirements: only({ memory_request: string, memory_limit: string })
        })
      }
    }),
    connectorTestSuitesOptions: {
      type: "array",
      items: only({ suite: { enum: ["unitTests", "integrationTests", "acceptanceTests", "liveTests"] } })
    }
  })
})

const { data, ...rest } = parse(text("metadata.yaml"))

describe("metadata.yaml", () => {
  it("has the form that Airbyte defines", () => {
    const validate = addFormats.default(new Ajv({ allErrors: true })).compile(definition)
    validate({ data, ...rest })
    assert.deepStrictEqual(validate.errors ?? [], [])
  })

  it("describes this connector", () => {
    assert.strictEqual(data.definitionId, "7ec889b8-d1aa-4c1b-b52e-dae6ca8eb8a0")
    assert.strictEqual(data.dockerRepository, dockerfile.connector.labels["io.airbyte.name"])
    assert.strictEqual(data.license, packageJson.license)
    assert.include(data.tags, "language:typescript")
    assert.isTrue(existsSync(join(root, data.icon)))
  })

  it("allows the hosts that a configuration names", () => {
    const paths = keysWithPaths(keys).map(({ path }) => path)
    const named = data.allowedHosts.hosts.map((host: string) => /^\$\{([\w.]+)\}$/.exec(host)?.[1] ?? host)
    // The last two issue credentials of AWS and Google Cloud.
    assert.deepStrictEqual(
      named.filter((name: string) => !paths.includes(name)),
      ["*.amazonaws.com", "*.googleapis.com"]
    )
    assert.includeMembers(named, ["base_url", "authentication.token_url"])
  })
})

describe("the version", () => {
  it("is package.json's in all places", () => {
    assert.strictEqual(data.dockerImageTag, packageJson.version)
    assert.strictEqual(dockerfile.argument("VERSION"), packageJson.version)
    assert.strictEqual(dockerfile.connector.labels["io.airbyte.version"], packageJson.version)
    for (const { labels } of [dockerfile.connector, dockerfile.run]) {
      assert.strictEqual(labels["org.opencontainers.image.version"], packageJson.version)
    }
    const lock = JSON.parse(text("package-lock.json"))
    assert.deepStrictEqual(
      [lock.version, lock.packages[""].version],
      [packageJson.version, packageJson.version]
    )
    // The flake reads it, so it has none of its own.
    assert.notInclude(text("flake.nix"), packageJson.version)
  })

  it("is the newest one of the changelog", () => {
    const versions = [...text("CHANGELOG.md").matchAll(/^## \[(.+?)\] - (.+)$/gm)]
    assert.strictEqual(versions[0]?.[1], packageJson.version)
    for (const [, , date] of versions) assert.match(date!, /^(Unreleased|\d{4}-\d{2}-\d{2})$/)
  })

  it("of Node is the same in the image and in CI as for development", () => {
    const tag = `docker.io/library/node:${packageJson.devDependencies.node}-bookworm`
    assert.strictEqual(dockerfile.argument("NODE_IMAGE"), `${tag}-slim`)
    assert.strictEqual(parse(text(".github/workflows/ci.yml")).jobs.check.container.image, tag)
  })
})

describe("the Dockerfile", () => {
  it("builds the connector without a target, and the image with DuckDB by another", () => {
    assert.strictEqual(dockerfile.targets.at(-1), "connector")
    assert.include(dockerfile.targets, "run")
    const released = /for target in (.+); do/.exec(text(".github/workflows/release.yml"))?.[1]?.split(" ")
    assert.deepStrictEqual(released, ["connector:", "run:-run"])
  })
})

describe("icon.svg", () => {
  it("is a square that refers to nothing outside", () => {
    const icon = text("icon.svg")
    assert.match(
      icon,
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="256" height="256" viewBox="0 0 256 256">/
    )
    assert.notMatch(icon, /href|url\(|<script|<image|<text/)
  })
})

describe("acceptance-test-config.yml", () => {
  it("names files that are there, for all tests", () => {
    const config = parse(text("acceptance-test-config.yml"))
    assert.strictEqual(config.connector_image, `${data.dockerRepository}:dev`)
    const suites = ["spec", "connection", "discovery", "basic_read", "incremental", "full_refresh"]
    assert.deepStrictEqual(Object.keys(config.acceptance_tests), suites)
    const paths = JSON.stringify(config).match(/(?<=_path":")[^"]+/g) ?? []
    assert.isNotEmpty(paths)
    for (const path of paths) assert.isTrue(existsSync(join(root, path)), path)
  })
})

describe("the workflows", () => {
  for (const name of readdirSync(join(root, ".github/workflows"))) {
    it(`${name} uses actions of fixed commits, and gives each job what it needs`, () => {
      const source = text(`.github/workflows/${name}`)
      for (const [, action] of source.matchAll(/uses: (.+)/g)) {
        assert.match(
          action!,
          /^(\.\/\.github\/workflows\/\w+\.yml|[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/
        )
      }
      const { jobs, permissions } = parse(source)
      assert.notInclude(Object.values(permissions), "write")
      const writing = Object.entries<{ readonly permissions?: object }>(jobs).flatMap(
        ([job, { permissions }]) =>
          Object.entries(permissions ?? {}).flatMap(([scope, access]) =>
            access === "write" ? [`${job} ${scope}`] : []
          )
      )
      assert.deepStrictEqual(
        writing,
        name === "release.yml"
          ? [
              "image packages",
              "image id-token",
              "image attestations",
              "package contents",
              "package id-token",
              "package attestations"
            ]
          : []
      )
    })
  }
})
