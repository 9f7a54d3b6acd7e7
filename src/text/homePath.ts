/**
 * Expands `~` at the beginning of a path to the home folder, in all flags that name files. A shell expands it only at the
 * beginning of a word, and so not in `--to parquet:~/metrics` or `--config=~/config.json`. Unexpanded, it would create a folder
 * named `~`.
 */
import { Result } from "effect"

/** Expands `~` and `~/`. Fails with the end of a sentence about the path. */
export const expandHome = (path: string, environment = process.env): Result.Result<string, string> => {
  const home = environment.HOME || environment.USERPROFILE
  if (!path.startsWith("~")) return Result.succeed(path)
  if (path !== "~" && !path.startsWith("~/")) {
    return Result.fail(
      `only ~/ stands for a home folder. Write the path in full, or ./${path} for one that is called so`
    )
  }
  if (!home) return Result.fail("HOME is not set, so that ~ has no meaning. Write the path in full")
  return Result.succeed(home.replace(/\/+$/, "") + path.slice(1) || "/")
}
