/**
 * A `~` at the beginning of a path: the home folder, in all flags that name files. A shell replaces it only where it begins a
 * word, and so not in `--to parquet:~/metrics` or `--config=~/config.json`; left alone it would become a folder called `~`.
 */
import { Result } from "effect"

/** The home folder as the environment has it. */
export const homeOf = (environment: Readonly<Record<string, string | undefined>>): string | undefined =>
  environment.HOME || environment.USERPROFILE || undefined

/** A path with `~` and `~/` replaced. Fails with the end of a sentence about the path. */
export const expandHome = (path: string, home: string | undefined): Result.Result<string, string> => {
  if (!path.startsWith("~")) return Result.succeed(path)
  if (path !== "~" && !path.startsWith("~/")) {
    return Result.fail(
      `only ~/ stands for a home folder. Write the path in full, or ./${path} for one that is called so`
    )
  }
  if (home === undefined)
    return Result.fail("HOME is not set, so that ~ has no meaning. Write the path in full")
  return Result.succeed(home.replace(/\/+$/, "") + path.slice(1) || "/")
}
