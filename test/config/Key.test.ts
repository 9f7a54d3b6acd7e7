/** A table with two additional keys, one of them secret. Each works everywhere without further code. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Predicate, Schema } from "effect"
import { Command } from "effect/cli"
import { keyReference } from "../../scripts/keyReference.ts"
import { flagNames, flagsOf, withFlags } from "../../src/cli/keyFlags.ts"
import { decodeKeys } from "../../src/config/decodeKeys.ts"
import { keysWithPaths, schemaOf } from "../../src/config/Key.ts"
import { keys } from "../../src/config/keys.ts"
import { boolean, choice, object, objects, oneOf, seconds, secretText, text } from "../../src/config/kinds.ts"
import { makeMask, redactedIn } from "../../src/config/SecretMask.ts"
import { connectionSpecification } from "../../src/config/spec.ts"

const table = {
  ...keys,
  pause: seconds({
    title: "Pause",
    description: "Seconds between two requests.",
    default: 5,
    min: 0,
    max: 86_400,
    flag: { name: "pause", metavar: "DURATION", description: "Time between two requests" }
  }),
  api_key: secretText({
    title: "API key",
    description: "Key of the API.",
    flag: {
      name: "api-key-file",
      metavar: "FILE",
      description: "File that contains the API key",
      variable: "TEST_API_KEY"
    }
  })
}

const given = { base_url: "http://localhost:9090", start_date: "2026-01-01" }

const propertiesOf = (schema: unknown): Readonly<Record<string, unknown>> => {
  assert.isTrue(Predicate.hasProperty(schema, "properties") && Predicate.isObject(schema.properties))
  return (schema as { readonly properties: Readonly<Record<string, unknown>> }).properties
}

describe("a new row of the table of keys", () => {
  it("is decoded by the schema and key by key", () => {
    const { config, problems, warnings } = decodeKeys(table, { ...given, pause: "1m", api_key: "s3cr3t!" })
    assert.deepStrictEqual([problems, warnings], [[], []])
    assert.strictEqual(config.pause, 60)
    assert.deepStrictEqual(redactedIn(config), ["s3cr3t!"])
    const decoded = Schema.decodeUnknownSync(schemaOf(table))({ ...given, pause: "1m" })
    assert.strictEqual(decoded.pause, 60)
  })

  it("has its default", () => {
    const { config } = decodeKeys(table, given)
    assert.strictEqual(config.pause, 5)
    assert.notProperty(config, "api_key")
  })

  it("is in messages with its accepted values, and a secret is not quoted", () => {
    assert.deepStrictEqual(decodeKeys(table, { ...given, pause: -1, api_key: ["s3cr3t!"] }).problems, [
      'pause is -1, but must be a whole number of seconds from 0 to 86400 (1 day), such as 3600, "3600" or "1h".',
      "api_key is not of the right type (its value is not shown), but must be text."
    ])
  })

  it("is known: only other keys cause a warning", () => {
    assert.deepStrictEqual(decodeKeys(table, { ...given, pause: 1, paws: 1 }).warnings, [
      "Unknown configuration key is ignored: paws."
    ])
    assert.deepStrictEqual(decodeKeys(keys, { ...given, pause: 1 }).warnings, [
      "Unknown configuration key is ignored: pause."
    ])
  })

  it("is in the JSON Schema of spec", () => {
    const properties = propertiesOf(connectionSpecification(table))
    const order = Object.keys(keys).length
    assert.deepStrictEqual(properties.pause, {
      type: "integer",
      minimum: 0,
      maximum: 86_400,
      title: "Pause",
      description: "Seconds between two requests.",
      order,
      default: 5
    })
    assert.deepStrictEqual(properties.api_key, {
      type: "string",
      airbyte_secret: true,
      title: "API key",
      description: "Key of the API.",
      order: order + 1
    })
    assert.deepStrictEqual(connectionSpecification(table).required, connectionSpecification().required)
  })

  it("is masked wherever it is in the settings", () => {
    const { config } = decodeKeys(table, { ...given, api_key: "s3cr3t!" })
    const settings = { some: [{ place: new Map([["for", config.api_key]]) }] }
    assert.strictEqual(makeMask(redactedIn(settings))("It said s3cr3t! to me."), "It said **** to me.")
    assert.notInclude(JSON.stringify(config), "s3cr3t!")
  })

  it.effect("has its flag, which overrides the file; a secret comes from a file or the environment", () =>
    Effect.gen(function* () {
      const command = Command.make("test", { keys: flagsOf(table) }, ({ keys: values }) =>
        Effect.gen(function* () {
          const { config: fromFile } = yield* withFlags(table, { pause: "2m" }, values)
          assert.deepStrictEqual(fromFile, { pause: "1m", api_key: "from file" })
          const { api_key: _, ...others } = values
          const { config: fromVariable } = yield* withFlags(table, {}, others)
          assert.deepStrictEqual(fromVariable, { pause: "1m", api_key: "from variable" })
        })
      )
      yield* Command.runWith(command, { version: "1" })(["--pause", "1m", "--api-key-file", "k"])
    }).pipe(
      Effect.provide(FileSystem.layerNoop({ readFileString: () => Effect.succeed("from file\n") })),
      Effect.provide(NodeServices.layer),
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromUnknown({ TEST_API_KEY: "from variable" })
      )
    )
  )

  it("is named with its flag", () => {
    const names = flagNames(table)
    assert.strictEqual(names.get("pause"), "--pause")
    assert.strictEqual(names.get("api_key"), "TEST_API_KEY or --api-key-file")
    assert.strictEqual(names.get("metrics"), "--select, --exclude")
  })

  it("is in the reference of keys", () => {
    const lines = keyReference(table).split("\n")
    assert.deepStrictEqual(lines.slice(-2), [
      '| Pause | `pause` | `5` | a whole number of seconds from 0 to 86400 (1 day), such as 3600, `"3600"` or `"1h"` | Seconds between two requests. |',
      "| API key | `api_key` |  | text, secret | Key of the API. |"
    ])
    // The rows of keys, and of the forms of authentication.
    assert.lengthOf(
      lines,
      keysWithPaths(table).length + Object.keys(keys.authentication.variants!.forms).length + 2
    )
  })
})

describe("nested keys", () => {
  const tls = object(
    {
      server_name: text({ title: "Server name", description: "Name in the certificate." }),
      client_key: secretText({ title: "Client key", description: "Private key, PEM." }),
      mode: choice(["strict", "lax"], { title: "Mode", description: "How to check.", default: "strict" })
    },
    { title: "TLS", description: "Certificates." }
  )
  const tokens = objects(
    { token: secretText({ title: "Token", description: "A token.", isRequired: true }) },
    { title: "Tokens", description: "Some tokens.", example: { token: "…" } }
  )
  const nested = { tls, tokens }

  it("are decoded with their defaults and secrets", () => {
    const { config } = decodeKeys(nested, {
      tls: { client_key: "k1" },
      tokens: [{ token: "t1" }, { token: "t2" }]
    })
    assert.strictEqual(config.tls?.mode, "strict")
    assert.deepStrictEqual(redactedIn(config), ["k1", "t1", "t2"])
  })

  it("are named in messages, and a secret makes the key around it secret", () => {
    const { problems, warnings } = decodeKeys(nested, {
      tls: { client_key: 1, server_name: 2 },
      tokens: [{ token: "s3cr3t", tok: 1 }]
    })
    assert.deepStrictEqual(problems, [
      "tls.server_name is 2, but must be text.",
      "tls.client_key is not of the right type (its value is not shown), but must be text."
    ])
    assert.deepStrictEqual(warnings, ["Unknown configuration key is ignored: tokens[0].tok."])
    assert.match(
      decodeKeys(nested, { tls: "s3cr3t" }).problems[0]!,
      /^tls is not of the right type \(its value is not shown\)/
    )
  })

  it("are in the JSON Schema, those with a default not required", () => {
    const properties = propertiesOf(connectionSpecification(nested))
    assert.deepStrictEqual(Object.keys(propertiesOf(properties.tls)), ["server_name", "client_key", "mode"])
    assert.notProperty(properties.tls, "required")
    assert.nestedPropertyVal(properties, "tokens.items.required[0]", "token")
    assert.nestedPropertyVal(properties, "tokens.items.properties.token.airbyte_secret", true)
  })
})

describe("a new row with several forms", () => {
  const login = oneOf(
    "kind",
    {
      off: { title: "Off", description: "No login.", keys: {} },
      pin: {
        title: "PIN",
        description: "A number.",
        keys: {
          pin: secretText({
            title: "Number",
            description: "The PIN.",
            isRequired: true,
            flag: {
              name: "pin-file",
              metavar: "FILE",
              description: "File with the PIN",
              variable: "TEST_PIN"
            }
          }),
          strict: boolean({
            title: "Strict",
            description: "Whether it is strict.",
            default: true,
            flag: { name: "lax", description: "Not strict", sets: false }
          })
        }
      },
      word: {
        title: "Word",
        description: "Words.",
        keys: {
          words: objects(
            {
              name: text({ title: "Name", description: "Name.", isRequired: true }),
              value: secretText({ title: "Value", description: "Value.", isRequired: true })
            },
            {
              title: "Words",
              description: "All words.",
              example: { name: "a", value: "b" },
              flag: {
                name: "word-file",
                metavar: "FILE",
                description: "File with the words",
                separator: "=",
                isAdded: true
              }
            }
          ),
          language: text({
            title: "Language",
            description: "Of the words.",
            isRequired: true,
            flag: { name: "language", metavar: "NAME", description: "Language of the words" }
          })
        }
      }
    },
    {
      title: "Login",
      description: "How to log in.",
      flag: { name: "login", metavar: "KIND", description: "How to log in" }
    }
  )
  const table = { ...keys, login }

  /** The configuration of command-line arguments. */
  const configOf = (args: ReadonlyArray<string>, file = {}, variables = {}) => {
    let merged: unknown
    const command = Command.make("test", { keys: flagsOf(table) }, ({ keys: values }) =>
      Effect.map(withFlags(table, file, values), ({ config }) => {
        merged = config
      })
    )
    return Command.runWith(command, { version: "1" })(args).pipe(
      Effect.map(() => merged),
      Effect.provide(
        FileSystem.layerNoop({
          readFileString: (path) => Effect.succeed(path === "p" ? "s3cr3t!\n" : "x=s3cr3t!\ny=\n")
        })
      ),
      Effect.provide(NodeServices.layer),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(variables))
    )
  }

  it.effect("has flags that select their form", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* configOf(["--pin-file", "p", "--lax"]), {
        login: { kind: "pin", pin: "s3cr3t!", strict: false }
      })
      assert.deepStrictEqual(
        yield* configOf(["--lax"], { login: { kind: "pin", pin: "1" } }, { TEST_PIN: "2" }),
        { login: { kind: "pin", pin: "2", strict: false } }
      )
      assert.deepStrictEqual(
        yield* configOf(["--language", "de", "--word-file", "w"], {
          login: { kind: "word", words: [{ name: "z", value: "1" }] }
        }),
        {
          login: {
            kind: "word",
            language: "de",
            words: [
              { name: "z", value: "1" },
              { name: "x", value: "s3cr3t!" },
              { name: "y", value: "" }
            ]
          }
        }
      )
      assert.deepStrictEqual(yield* configOf(["--login", "word"], { login: { kind: "off" } }), {
        login: { kind: "word" }
      })
      for (const [args, message] of [
        [
          ["--lax", "--language", "de"],
          "--lax sets login.kind to pin, but --language sets it to word: remove one of them."
        ],
        [
          ["--login", "off", "--pin-file", "p"],
          "--login sets login.kind to off, but --pin-file sets it to pin: remove one of them."
        ]
      ] as const) {
        assert.propertyVal(yield* Effect.flip(configOf(args)), "message", message)
      }
      assert.propertyVal(
        yield* Effect.flip(configOf(["--lax"], { login: { kind: "word" } })),
        "message",
        "--lax sets login.kind to pin, but the configuration file sets it to word: remove one of them."
      )
    })
  )

  it("is named with its flags", () => {
    const names = flagNames(table)
    assert.strictEqual(names.get("login"), "--login")
    assert.strictEqual(names.get("login.kind"), "--login")
    assert.strictEqual(names.get("login.pin"), "TEST_PIN or --pin-file")
    assert.strictEqual(names.get("login.words"), "--word-file")
  })

  it("is decoded with its secrets, and no message quotes them", () => {
    const decode = (value: unknown) => decodeKeys({ login }, { login: value })
    const { config } = decode({ kind: "word", language: "de", words: [{ name: "a", value: "s3cr3t!" }] })
    assert.deepStrictEqual(redactedIn(config), ["s3cr3t!"])
    assert.deepStrictEqual(decode({ kind: "pin", pin: ["s3cr3t!"], strict: 1, other: 1 }), {
      config: { login: { kind: "pin" } } as never,
      problems: [
        "login.pin is not of the right type (its value is not shown), but must be text.",
        "login.strict is 1, but must be true or false."
      ],
      warnings: ["Unknown configuration key is ignored: login.other."]
    })
    assert.deepStrictEqual(decode({ kind: "s3cret", pin: "s3cr3t!" }).problems, [
      'login.kind is "s3cret", but must be "off" or "pin" or "word".'
    ])
    assert.deepStrictEqual(decode("s3cr3t!").problems, [
      'login is not of the right type (its value is not shown), but must be an object with kind: "off" or "pin" or "word".'
    ])
  })

  it("is in the JSON Schema of spec, with a constant for each form", () => {
    const properties = propertiesOf(connectionSpecification(table))
    assert.nestedPropertyVal(properties, "login.type", "object")
    const forms = (properties.login as { readonly oneOf: ReadonlyArray<unknown> }).oneOf
    assert.deepStrictEqual(
      forms.map((form) => Object.keys(propertiesOf(form))),
      [["kind"], ["kind", "pin", "strict"], ["kind", "words", "language"]]
    )
    assert.nestedPropertyVal(forms[1], "properties.kind.const", "pin")
    assert.nestedPropertyVal(forms[1], "properties.pin.airbyte_secret", true)
    assert.deepPropertyVal(forms[1], "required", ["kind", "pin"])
  })

  it("has its forms in the reference of keys", () => {
    assert.deepStrictEqual(keyReference({ login }).split("\n").slice(2), [
      "| Login | `login` |  | an object with kind and the keys of its form | How to log in. |",
      '| **Off** | `login.kind` |  | `"off"` | No login. |',
      '| **PIN** | `login.kind` |  | `"pin"` | A number. |',
      "| Number | `login.pin` | required | text, secret | The PIN. |",
      "| Strict | `login.strict` | `true` | true or false | Whether it is strict. |",
      '| **Word** | `login.kind` |  | `"word"` | Words. |',
      "| Words | `login.words` |  | a list of objects | All words. |",
      "| Name | `login.words[].name` | required | text | Name. |",
      "| Value | `login.words[].value` | required | text, secret | Value. |",
      "| Language | `login.language` | required | text | Of the words. |"
    ])
  })
})
