/** A folder in which the project's commands do what they do in a clone, and what they write does not land in this one. */
import { symlinkSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** As links they are as old as they are here, so that nothing is installed or built again. */
const parts = ["node_modules", "dist", "src", "scripts", "package.json", "package-lock.json"] as const

/** Makes `folder` such a one: `npm start` there writes there. The executable must have been built. */
export const linkProject = (folder: string): void => {
  for (const part of parts) symlinkSync(resolve(root, part), join(folder, part))
}
