/** The manifests in an object store, which compares and swaps by itself. */
import { Effect, Option } from "effect"
import type { ManifestStore } from "../folder/ManifestStore.ts"
import type { ObjectStore } from "./ObjectStore.ts"

/** The manifests in `_state` of a prefix. */
export const bucketManifests = (objects: ObjectStore): ManifestStore => {
  const keyOf = (name: string): string => `_state/${name}.json`
  const load: ManifestStore["load"] = (name) =>
    Effect.map(
      objects.get(keyOf(name)),
      Option.map(({ bytes, version }) => ({ text: Buffer.from(bytes).toString("utf8"), version }))
    )
  return {
    names: Effect.map(objects.list("_state/"), (list) =>
      list
        .map(({ key }) => key.slice("_state/".length))
        .filter((name) => /^[^_/][^/]*\.json$/.test(name))
        .map((name) => name.slice(0, -".json".length))
    ),
    load,
    replace: (name, version, text) => objects.put(keyOf(name), Buffer.from(text), { version })
  }
}
