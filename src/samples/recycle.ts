/** How a consumer says that it is done with a block. */
import type { SampleBlock } from "./Sample.ts"

/** Says that nothing of a block will be looked at any more: what it was cut from may soon hold other samples. */
export const recycle = (block: SampleBlock): void => {
  if (block._tag === "TextBlock") block.arena?.letGo()
}
