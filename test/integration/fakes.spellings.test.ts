/** Responses that say the same in other spellings: encodings, and values that are not finite. */
import { gzipSync } from "node:zlib"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import {
  assertFails,
  assertRecords,
  assertWhole,
  basic,
  expectedFrom,
  metrics,
  minute,
  read,
  Source,
  start
} from "../support/fakes/basic.ts"
import type * as fakes from "../support/fakes/fake.ts"
import { fake } from "../support/fakes/fake.ts"
import { spellValues } from "../support/fakes/faults.ts"
import * as RealPrometheus from "../support/RealPrometheus.ts"

/** Encodings that are spelled in other ways. */
const spellings = ["GZIP", "Gzip", "x-gzip", "X-GZIP"]
const identities = ["Identity", "IDENTITY", "identity", ""]

const encoded =
  (encoding: string, encode: (body: Buffer) => Buffer): fakes.Layer =>
  async (ask, next) => {
    const answer = await next(ask)
    return typeof answer === "string"
      ? answer
      : { ...answer, body: encode(answer.body), headers: { ...answer.headers, "content-encoding": encoding } }
  }

describe("encodings", { concurrent: true }, () => {
  layer(Source.layer, { timeout: 120_000 })((it) => {
    for (const encoding of spellings) {
      for (const compression of ["gzip", "none"]) {
        it.effect(`are read however they are spelled: ${encoding} with compression ${compression}`, () =>
          Effect.gen(function* () {
            const server = yield* Source
            const { baseUrl } = yield* fake(server.baseUrl, encoded(encoding, gzipSync))
            assertWhole(yield* read(baseUrl, { config: { compression } }), yield* expectedFrom(server))
          })
        )
      }
    }
    for (const encoding of identities) {
      it.effect(`that mean none are none: "${encoding}"`, () =>
        Effect.gen(function* () {
          const server = yield* Source
          const { baseUrl } = yield* fake(
            server.baseUrl,
            encoded(encoding, (body) => body)
          )
          assertWhole(yield* read(baseUrl), yield* expectedFrom(server))
        })
      )
    }
    it.effect("that are not known fail with their name", () =>
      Effect.gen(function* () {
        const { baseUrl } = yield* fake((yield* Source).baseUrl, encoded("zstd", gzipSync))
        assertFails(yield* read(baseUrl), /zstd/)
      })
    )
  })
})

/** How servers spell values that are not finite, and what they mean. */
const values: Readonly<Record<string, ReadonlyArray<string>>> = {
  "+Inf": ["+Inf", "Inf", "inf", "+inf", "INF", "Infinity", "+Infinity", "infinity"],
  "-Inf": ["-Inf", "-inf", "-INF", "-Infinity", "-infinity"],
  NaN: ["NaN", "nan", "NAN"]
}

const specials = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.5]

/** A real server with `basic` and a metric of all kinds of values. */
class Special extends Context.Service<Special, RealPrometheus.RealPrometheus>()("test/fakes/Special") {
  static readonly layer = Layer.effect(
    Special,
    RealPrometheus.make({
      series: [
        {
          labels: { __name__: "special" },
          samples: Array.from({ length: 121 }, (_, i) => [start + i * minute, specials[i % 4]!] as const)
        },
        ...basic
      ]
    })
  )
}

describe("values that are not finite", { concurrent: true }, () => {
  layer(Special.layer, { timeout: 120_000 })((it) => {
    for (const [meaning, texts] of Object.entries(values)) {
      for (const spelled of texts) {
        it.effect(`are read as what they mean: ${spelled}`, () =>
          Effect.gen(function* () {
            const server = yield* Special
            const { baseUrl } = yield* fake(
              server.baseUrl,
              spellValues((value) => (value === meaning ? spelled : value))
            )
            const output = yield* read(baseUrl, { names: ["special"] })
            assertWhole(output, yield* expectedFrom(server, { metrics: ["special"] }))
            const found = output.records.filter(({ data }) => data.special_value === meaning)
            assert.strictEqual(found.length, meaning === "NaN" ? 31 : 30)
          })
        )
      }
    }

    for (const spelled of ["Info", "infinite", "++Inf", "NaNa", "0x10", "1e", "", "null"]) {
      it.effect(`that mean nothing fail the stream, and the others are read: "${spelled}"`, () =>
        Effect.gen(function* () {
          const server = yield* Special
          const { baseUrl } = yield* fake(
            server.baseUrl,
            spellValues((value) => (value === "+Inf" ? spelled : value))
          )
          const output = yield* read(baseUrl, { names: ["special", ...metrics] })
          assertFails(output, /1 of 4 streams failed: special\./)
          const read_ = output.records.filter(({ stream }) => stream !== "special")
          assertRecords({ ...output, records: read_ }, yield* expectedFrom(server))
        })
      )
    }
  })
})
