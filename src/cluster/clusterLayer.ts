/** Effect's cluster over PostgreSQL alone: no process opens a port, and none has to reach another. */
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Duration, Layer, Option, References } from "effect"
import {
  ClusterWorkflowEngine,
  RunnerAddress,
  RunnerHealth,
  Runners,
  Sharding,
  ShardingConfig
} from "effect/cluster"
import { asClusterErrors } from "./clusterDatabase.ts"
import { layerMessageStorage } from "./messageStorage.ts"
import type { ClusterAddress } from "./PartQueue.ts"
import { layerRunnerStorage } from "./runnerStorage.ts"
import { SHARDS } from "./shards.ts"
import { ALIVE_SECONDS } from "./timings.ts"

/**
 * The workflow engine of a submitter, or of a worker, which also gets its share of the shards. `group`: the prefix of its tables.
 */
export const layerEngine = (address: ClusterAddress, group: string, role: "submitter" | "worker") => {
  const config = ShardingConfig.layer({
    // No one connects to this address: it only has to be unique.
    runnerAddress:
      role === "worker" ? Option.some(RunnerAddress.make(`${hostname()}-${randomUUID()}`, 1)) : Option.none(),
    shardsPerGroup: SHARDS,
    // Leases in a table survive a lost connection and a restart of PostgreSQL, which advisory locks do not.
    shardLockDisableAdvisory: true,
    shardLockExpiration: Duration.seconds(ALIVE_SECONDS),
    shardLockRefreshInterval: Duration.seconds(10),
    refreshAssignmentsInterval: Duration.seconds(2),
    entityMessagePollInterval: Duration.seconds(1),
    entityReplyPollInterval: Duration.millis(250),
    // A part is given back, not finished: it may take longer than a process may take to stop.
    entityTerminationTimeout: Duration.seconds(1),
    simulateRemoteSerialization: false
  })
  const sharding = Sharding.layer.pipe(
    Layer.provide([Runners.layerNoop, RunnerHealth.layerNoop, Layer.orDie(layerRunnerStorage(group))]),
    Layer.provideMerge(layerMessageStorage(group)),
    Layer.provide(config),
    Layer.provide(NodeCrypto.layerDigest)
  )
  const engine = ClusterWorkflowEngine.layer.pipe(
    Layer.provideMerge(sharding),
    // Its messages are for who knows its source. Ours say when the database cannot be used.
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Fatal"))
  )
  return Layer.effectContext(asClusterErrors(address)(Layer.build(engine)))
}
