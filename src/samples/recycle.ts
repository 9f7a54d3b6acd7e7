/** How a consumer gives the memory of a block back. Inside this program only: afterwards the block has other samples. */
import type { Arena } from "./Arena.ts"
import type { SampleBlock, TextBlock } from "./Sample.ts"

/** A block as the decoder makes it. The public type does not have the arena: others cannot recycle. */
export interface ArenaBlock extends TextBlock {
  readonly arena: Arena
}

const isCutFromArena = (block: SampleBlock): block is ArenaBlock =>
  block._tag === "TextBlock" && "arena" in block

/** Gives a block back: nobody may look at it afterwards, since its arrays may soon have other samples. */
export const recycle = (block: SampleBlock): void => {
  if (isCutFromArena(block)) block.arena.letGo()
}
