/** Recycles the memory of a block. Internal, because the block then contains other samples. */
import type { Arena } from "./Arena.ts"
import type { SampleBlock, TextBlock } from "./Sample.ts"

/** A block as the decoder creates it. The public type has no arena, so that other programs cannot recycle. */
export interface ArenaBlock extends TextBlock {
  readonly arena: Arena
}

const isCutFromArena = (block: SampleBlock): block is ArenaBlock =>
  block._tag === "TextBlock" && "arena" in block

/** Recycles a block. It must not be used afterwards, because its arrays may soon contain other samples. */
export const recycle = (block: SampleBlock): void => {
  if (isCutFromArena(block)) block.arena.letGo()
}
