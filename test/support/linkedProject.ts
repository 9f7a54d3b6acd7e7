/** A folder in which the project's commands work as in a clone, but write their output there and not in this clone. */
import { symlinkSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Links keep modification times, so that nothing is installed or built again. */
const parts = ["node_modules", "dist", "src", "scripts", "package.json", "package-lock.json"] as const

/** Sets up `folder` like this: `npm start` there writes there. The executable must have been built. */
export const linkProject = (folder: string): void => {
  for (const part of parts) symlinkSync(resolve(root, part), join(folder, part))
}
