/** The shards of the parts. A worker executes the parts in those for which it has the locks. */

/** More than workers, so that each has about as many. */
export const SHARDS = 300

/** The only group, which is that of entities that name none. */
export const SHARD_GROUP = "default"
