/** Which processes of a cluster belong together: those whose settings lead to the same rows. */
import { createHash } from "node:crypto"

export type SyncSettings = Readonly<Record<string, string>>

/** Increased when an older worker would misunderstand a part. */
const VERSION = 1

/** The group of a sync. Each group has its own tables, so workers with other settings do not even see its parts. */
export const groupOf = (settings: SyncSettings): string => {
  const entries = Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1))
  return `v${VERSION}_${createHash("sha256").update(JSON.stringify(entries)).digest("hex").slice(0, 12)}`
}

/** What another process has set differently, for a sentence: `step is 5m there and 1m here`. */
export const differencesText = (there: SyncSettings, here: SyncSettings): string =>
  Array.from(new Set([...Object.keys(here), ...Object.keys(there)]))
    .filter((name) => there[name] !== here[name])
    .map((name) => `${name} is ${valueText(there[name])} there and ${valueText(here[name])} here`)
    .join(", ") || "the versions of source-prometheus differ"

const valueText = (value: string | undefined): string =>
  value === undefined || value === "" ? "not set" : value
