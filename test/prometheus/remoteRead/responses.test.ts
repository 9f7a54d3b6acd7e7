/** Complete responses: series, chunks that overlap, unknown fields, and damage. */
import { assert, describe, it } from "@effect/vitest"
import { ChunkedDecoder } from "../../../src/prometheus/remoteRead/ChunkedDecoder.ts"
import { RemoteReadError } from "../../../src/prometheus/remoteRead/RemoteReadError.ts"
import { SamplesDecoder } from "../../../src/prometheus/remoteRead/SamplesDecoder.ts"
import { snappyLiteral } from "../../../src/prometheus/remoteRead/snappy.ts"
import { type SampleBlock, textAt } from "../../../src/samples/Sample.ts"
import { SeriesCache } from "../../../src/samples/Series.ts"
import { type Choices, choices } from "../../choices.ts"
import { field, varint } from "../../support/remoteWrite.ts"
import { runs } from "../../support/runs.ts"
import { anyStarts, type BitSample, bitsOf, bytesOf, STALE, xor2Chunk, xorChunk } from "./bitTexts.ts"
import { type ChunkLayout, histogramChunk } from "./histogramTexts.ts"
import { type ChunkInput, chunkedSeries, frame, integer, pieces } from "./messages.ts"

const options = { arbitrary: { runs: runs(30, 150) }, timeout: 60_000 }

/** A sample of a model: a float, a histogram with its count, or a stale marker. */
interface ModelSample {
  readonly time: number
  readonly value: number | "stale" | { readonly count: number }
}

interface ModelSeries {
  readonly labels: ReadonlyArray<readonly [string, string]>
  /** Chunks of samples of one kind, in the order of their first samples. */
  readonly chunks: ReadonlyArray<ReadonlyArray<ModelSample>>
}

const isHistogram = ({ value }: ModelSample): boolean => typeof value === "object"

const oneBucket: ChunkLayout = {
  schema: 0,
  zeroThreshold: 0,
  positive: [{ offset: 0, length: 1 }],
  negative: [],
  bounds: []
}

const chunkOf = (samples: ReadonlyArray<ModelSample>, choices: Choices): ChunkInput => {
  if (samples.some(isHistogram)) {
    const encoding = choices.pick([2, 5])
    const histograms = samples.map(({ time, value }) => {
      const count = typeof value === "object" ? BigInt(value.count) : 0n
      return {
        time: BigInt(time),
        sum: value === "stale" ? STALE : bitsOf(1),
        count,
        zeroCount: 0n,
        positive: [count],
        negative: []
      }
    })
    return { encoding, data: bytesOf(histogramChunk(oneBucket, histograms, encoding === 5, choices)) }
  }
  const floats = samples.map(
    ({ time, value }): BitSample => ({
      time: BigInt(time),
      value: value === "stale" ? STALE : bitsOf(value as number)
    })
  )
  return choices.oneIn(3)
    ? { encoding: 4, data: bytesOf(xor2Chunk(floats, anyStarts(choices, floats.length), choices)) }
    : { encoding: 1, data: bytesOf(xorChunk(floats, choices)) }
}

/** Series whose chunks may overlap and repeat samples. */
const anySeries = (choices: Choices): ReadonlyArray<ModelSeries> =>
  Array.from({ length: choices.between(1, 4) }, (_, n) => {
    const overlaps = choices.oneIn(2)
    let first = 1_767_225_600_000
    return {
      labels: [["__name__", "m"] as const, ["n", `${n} é`] as const],
      chunks: choices.list(choices.pick([3, 12]), () => {
        const isOfHistograms = choices.oneIn(3)
        let time = first
        const samples: Array<ModelSample> = []
        for (let i = choices.between(1, choices.pick([3, 40])); i > 0; i--) {
          const value = isOfHistograms ? { count: choices.between(1, 9) } : choices.below(100) / 8
          samples.push({ time, value: i > 1 && samples.length > 0 && choices.oneIn(8) ? "stale" : value })
          time += 15_000 * choices.between(1, 3)
        }
        // The next chunk begins later, or within this one, or with it.
        first = overlaps && choices.oneIn(2) ? samples[choices.below(samples.length)]!.time : time
        return samples
      })
    }
  })

const anyRange = (choices: Choices) => {
  const startMillis = 1_767_225_600_000 + (choices.oneIn(2) ? 0 : 15_000 * choices.below(40))
  return { startMillis, endMillis: choices.oneIn(2) ? startMillis + 15_000 * choices.below(60) : 2 ** 42 }
}

type Range = ReturnType<typeof anyRange>

/** The samples that a reader must find: of several at one time the first, and no marker. */
const expected = (series: ReadonlyArray<ModelSeries>, { endMillis, startMillis }: Range) =>
  series.flatMap(({ chunks, labels }) => {
    const found = new Map<number, string>()
    for (const { time, value } of chunks.flat()) {
      if (value === "stale" || time < startMillis || time > endMillis || found.has(time)) continue
      found.set(time, typeof value === "object" ? `count ${value.count}` : `${value}`)
    }
    return [...found]
      .toSorted(([a], [b]) => a - b)
      .map(([time, value]) => [labels[1]![1], time, value] as const)
  })

const samplesOf = (blocks: ReadonlyArray<SampleBlock>) =>
  blocks.flatMap((block) =>
    Array.from(
      block.times,
      (time, i) =>
        [
          block.series.labels.find(([name]) => name === "n")?.[1] ?? "",
          time,
          block._tag === "HistogramBlock" ? `count ${block.histograms[i]!.count}` : textAt(block, i)
        ] as const
    )
  )

/** A streamed response, with the chunks of a series in one frame or in several, and with unknown fields. */
const streamed = (series: ReadonlyArray<ModelSeries>, choices: Choices): Buffer => {
  const unknown = () =>
    choices.oneIn(3)
      ? choices.pick([
          integer(9, 300),
          field(100, Buffer.from("new")),
          Buffer.concat([varint((11 << 3) | 1), Buffer.alloc(8, 1)]),
          Buffer.concat([varint((12 << 3) | 5), Buffer.alloc(4, 1)])
        ])
      : Buffer.alloc(0)
  return Buffer.concat(
    series.flatMap(({ chunks, labels }) => {
      const frames: Array<Buffer> = []
      const encoded = chunks.map((samples) => chunkOf(samples, choices))
      for (let at = 0; at < encoded.length; ) {
        const count = choices.between(1, encoded.length)
        const part = chunkedSeries(labels, encoded.slice(at, at + count))
        frames.push(frame(Buffer.concat([unknown(), part, integer(2, 0), unknown()])))
        at += count
      }
      return frames
    })
  )
}

const decodeStream = (parts: ReadonlyArray<Uint8Array>, range: Range, cache?: SeriesCache) => {
  const decoder = new ChunkedDecoder({ range, series: cache, excludedLabels: new Set() })
  const blocks: Array<SampleBlock> = []
  try {
    for (const part of parts) blocks.push(...decoder.push(part))
    blocks.push(...decoder.finish())
    return { samples: samplesOf(blocks), blocks, error: undefined }
  } catch (error) {
    if (error instanceof RemoteReadError) return { samples: samplesOf(blocks), blocks, error }
    throw error
  }
}

const everything = { startMillis: 0, endMillis: 2 ** 42 }

describe("a streamed response", () => {
  it.prop(
    "has each sample of the range once, in the order of time, in pieces of any size",
    [choices],
    ([choices]) => {
      const series = anySeries(choices)
      const range = anyRange(choices)
      const cache = new SeriesCache()
      const bytes = streamed(series, choices)
      const first = decodeStream(pieces(choices, bytes), range, cache)
      assert.isUndefined(first.error)
      assert.deepStrictEqual(first.samples, expected(series, range))
      // The series of a later response are the same objects.
      const again = decodeStream([bytes], range, cache)
      assert.deepStrictEqual(again.samples, first.samples)
      const known = new Set(first.blocks.map((block) => block.series))
      assert.isTrue(again.blocks.every((block) => known.has(block.series)))
    },
    options
  )

  it.prop(
    "that is damaged has no sample that was not there",
    [choices],
    ([choices]) => {
      const series = anySeries(choices)
      const bytes = streamed(series, choices)
      const right = new Set(expected(series, everything).map((sample) => sample.join(" ")))
      for (let i = 0; i < 10; i++) {
        const changed = Uint8Array.from(
          choices.oneIn(2) ? bytes : bytes.subarray(0, choices.below(bytes.length + 1))
        )
        for (let n = choices.below(3); n > 0 && changed.length > 0; n--) {
          changed[choices.below(changed.length)]! ^= 1 << choices.below(8)
        }
        const { samples } = decodeStream(pieces(choices, changed), everything)
        for (const sample of samples) assert.isTrue(right.has(sample.join(" ")), sample.join(" "))
      }
    },
    options
  )

  it.prop(
    "whose messages are damaged under a right checksum is refused with a typed error, or read",
    [choices],
    ([choices]) => {
      const chunks = anySeries(choices)[0]!.chunks.map((samples) => chunkOf(samples, choices))
      const content = Uint8Array.from(chunkedSeries([["n", "x"]], chunks))
      for (let i = 0; i < 20; i++) {
        const changed = content.slice(
          0,
          choices.oneIn(3) ? choices.below(content.length + 1) : content.length
        )
        for (let n = choices.between(1, 4); n > 0 && changed.length > 0; n--) {
          changed[choices.below(Math.min(changed.length, choices.pick([30, 10_000])))]! ^=
            1 << choices.below(8)
        }
        const { samples } = decodeStream([frame(changed)], everything)
        samples.forEach(([, time], i) => assert.isTrue(i === 0 || time > samples[i - 1]![1]))
      }
    },
    options
  )

  it("refuses an encoding that it does not know, and nothing is read after that", () => {
    const decoder = new ChunkedDecoder({ range: everything, series: undefined, excludedLabels: new Set() })
    const bytes = frame(chunkedSeries([["n", "x"]], [{ encoding: 7, data: new Uint8Array(9) }]))
    for (let i = 0; i < 2; i++) {
      assert.throws(() => decoder.push(bytes), RemoteReadError, "a chunk has the unknown encoding 7")
    }
    assert.throws(() => decoder.finish(), RemoteReadError)
  })

  it("has labels in canonical order, without excluded ones, which still tell series apart", () => {
    const chunk = {
      encoding: 1,
      data: bytesOf(xorChunk([{ time: 1n, value: 0n }], { oneIn: () => false } as never))
    }
    const read = (n: string, excluded: ReadonlyArray<string>) => {
      const decoder = new ChunkedDecoder({
        range: everything,
        series: undefined,
        excludedLabels: new Set(excluded)
      })
      decoder.push(
        frame(
          chunkedSeries(
            [
              ["z", "1"],
              ["n", n],
              ["empty", ""],
              ["__name__", "m"]
            ],
            [chunk]
          )
        )
      )
      return decoder.finish()[0]!.series
    }
    const all = read("x", [])
    assert.deepStrictEqual(all.labels, [
      ["__name__", "m"],
      ["n", "x"],
      ["z", "1"]
    ])
    const some = read("x", ["n"])
    assert.deepStrictEqual(some.labels, [
      ["__name__", "m"],
      ["z", "1"]
    ])
    assert.strictEqual(some.id, all.id)
    assert.notStrictEqual(read("y", ["n"]).id, some.id)
  })
})

describe("a response in one message", () => {
  const label = (name: string, value: string) =>
    field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, Buffer.from(value))]))

  const float = (time: number, bits: bigint) => {
    const value = Buffer.alloc(8)
    value.writeBigUInt64LE(bits)
    return field(2, Buffer.concat([Buffer.of((1 << 3) | 1), value, integer(2, time)]))
  }

  const response = (series: ReadonlyArray<Buffer>) =>
    snappyLiteral(field(1, Buffer.concat(series.map((one) => field(1, one)))))

  const decodeMessage = (parts: ReadonlyArray<Uint8Array>, range = everything) => {
    const decoder = new SamplesDecoder({ range, series: undefined, excludedLabels: new Set() })
    for (const part of parts) assert.deepStrictEqual(decoder.push(part), [])
    return samplesOf(decoder.finish())
  }

  it.prop(
    "has the samples of the range, but for stale markers",
    [choices],
    ([choices]) => {
      const range = anyRange(choices)
      const series = anySeries(choices).map(({ chunks, labels }) => ({
        labels,
        chunks: [[...(chunks.find((samples) => !samples.some(isHistogram)) ?? [])]]
      }))
      const bytes = response(
        series.map(({ chunks, labels }) =>
          Buffer.concat([
            ...labels.map(([name, value]) => label(name, value)),
            ...chunks[0]!.map(({ time, value }) =>
              float(time, value === "stale" ? STALE : bitsOf(value as number))
            )
          ])
        )
      )
      assert.deepStrictEqual(decodeMessage(pieces(choices, bytes), range), expected(series, range))
      const cut = bytes.subarray(0, choices.below(bytes.length))
      assert.throws(() => decodeMessage([cut]), RemoteReadError)
    },
    options
  )

  it("refuses samples that are not in the order of time", () => {
    const bytes = response([Buffer.concat([label("n", "x"), float(2, 0n), float(2, 0n)])])
    assert.throws(() => decodeMessage([bytes]), RemoteReadError, "order of time")
  })
})

describe("a response with a sentinel", () => {
  const value = {
    encoding: 1,
    data: bytesOf(xorChunk([{ time: 1n, value: bitsOf(1) }], { oneIn: () => false } as never))
  }
  const first = (n: string) => frame(Buffer.concat([chunkedSeries([["n", n]], [value]), integer(2, 0)]))
  const last = frame(Buffer.concat([chunkedSeries([["n", "sentinel"]], [value]), integer(2, 1)]))
  const decoding = {
    range: { startMillis: 0, endMillis: 9 },
    series: undefined,
    excludedLabels: new Set<string>(),
    hasSentinel: true
  }
  const read = (...frames: ReadonlyArray<Uint8Array>) => {
    const decoder = new ChunkedDecoder(decoding)
    return samplesOf([...frames.flatMap((bytes) => decoder.push(bytes)), ...decoder.finish()])
  }

  it("does not have its samples", () => {
    assert.deepStrictEqual(
      read(first("a"), first("b"), last).map(([n]) => n),
      ["a", "b"]
    )
    assert.deepStrictEqual(read(last), [])
    assert.deepStrictEqual(read(last, last), [])
  })

  it("is cut short between any two frames without it", () => {
    for (const frames of [[], [first("a")], [first("a"), first("b")]]) {
      assert.throws(() => read(...frames), RemoteReadError, "ends between two frames")
    }
    assert.throws(() => read(last, first("a")), RemoteReadError, "mixed up")
  })

  it("in one message has its result last", () => {
    const series = (time: number) => field(1, field(1, field(2, integer(2, time))))
    const decoder = new SamplesDecoder(decoding)
    decoder.push(snappyLiteral(Buffer.concat([series(3), series(4)])))
    assert.deepStrictEqual(
      samplesOf(decoder.finish()).map(([, time]) => time),
      [3]
    )
  })
})
