/** What lies in an image, without looking into it. */
import { lstatSync, readdirSync, type Stats } from "node:fs"
import { join } from "node:path"

/** Every path below a folder, as the container sees it, with what the file system knows of it. Links are not followed. */
export const filesOf = (root: string, folder = "/"): ReadonlyMap<string, Stats> =>
  new Map(
    readdirSync(join(root, folder)).flatMap((name) => {
      const path = join(folder, name)
      const stats = lstatSync(join(root, path))
      return [[path, stats] as const, ...(stats.isDirectory() ? filesOf(root, path) : [])]
    })
  )

/** In bytes. */
export const sizeOf = (files: ReadonlyMap<string, Stats>): number =>
  [...files.values()].reduce((sum, stats) => sum + (stats.isFile() ? stats.size : 0), 0)

/** Whether a user who belongs to no group but their own may change it. */
export const isWritableBy = (uid: number, { gid, mode, uid: owner }: Stats): boolean =>
  owner === uid ? (mode & 0o200) !== 0 : gid === uid ? (mode & 0o020) !== 0 : (mode & 0o002) !== 0
