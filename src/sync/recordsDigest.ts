/** A digest of the samples of a response, to compare two responses without keeping either. */
import { createHash } from "node:crypto"
import { Effect, Stream } from "effect"
import { recycle } from "../samples/Arena.ts"
import { textAt } from "../samples/Sample.ts"
import type { Response } from "./BlockSource.ts"

/**
 * Reads a response to its end. The digest is the same for two responses with the same records. Series come in an order that all
 * responses share, and each of them in that of time. Floats and histograms have a digest each: a response may have those of a
 * series apart, or in turns.
 */
export const recordsDigest = (response: Response) =>
  Effect.suspend(() => {
    const floats = createHash("sha256")
    const histograms = createHash("sha256")
    return Stream.runForEach(response, (block) =>
      Effect.sync(() => {
        const isHistogram = block._tag === "HistogramBlock"
        let lines = ""
        for (let i = 0; i < block.length; i++) {
          const text = isHistogram ? JSON.stringify(block.histograms[i]) : textAt(block, i)
          lines += `${block.series.id} ${block.times[i]} ${text}\n`
        }
        ;(isHistogram ? histograms : floats).update(lines)
        recycle(block)
      })
    ).pipe(Effect.map(() => `${floats.digest("hex")} ${histograms.digest("hex")}`))
  })
