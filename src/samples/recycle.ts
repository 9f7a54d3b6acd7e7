/** How a consumer gives the memory of a block back. */
import type { SampleBlock } from "./Sample.ts"

/** Gives a block back: nobody may look at it afterwards, since its arrays may soon have other samples. */
export const recycle = (block: SampleBlock): void => {
  if (block._tag === "TextBlock") block.arena?.letGo()
}
