/** What other rooms load of the cluster, lazily: its libraries are large. */
export { layerLoadAccount } from "./loadAccount.ts"
export { layerPartQueue } from "./submitParts.ts"
export { work } from "./work.ts"
