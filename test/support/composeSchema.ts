/** The schema of Docker Compose's files: from the module of Go that Docker Compose itself reads them with. */
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

const RELEASE = "github.com/compose-spec/compose-go/v2@v2.16.2"

/** Downloads the module, or takes it from Go's cache. */
export const composeSchema = async (): Promise<object> => {
  const { stdout } = await promisify(execFile)("go", ["mod", "download", "-json", RELEASE], { cwd: tmpdir() })
  const { Dir } = JSON.parse(stdout) as { readonly Dir: string }
  return JSON.parse(await readFile(join(Dir, "schema/compose-spec.json"), "utf8"))
}
