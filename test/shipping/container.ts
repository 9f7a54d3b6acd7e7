/**
 * The unpacked image as a container: its files as the root, processes of its own, and no one's rights but a user's. The
 * network is this machine's, so that servers on loopback can be read.
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { Effect } from "effect"
import type { ChildResult } from "../support/child.ts"
import * as connector from "../support/connector.ts"

/** What the image says of itself, as far as is looked at. */
export interface ImageConfig {
  readonly User: string
  readonly Env: ReadonlyArray<string>
  readonly Entrypoint: ReadonlyArray<string>
  readonly Cmd?: ReadonlyArray<string>
  readonly WorkingDir: string
  readonly Labels: Readonly<Record<string, string>>
  readonly Volumes?: unknown
}

const given = (name: string): string => {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set: run "scripts/verify-image.sh".`)
  return value
}

/** An image that scripts/verify-image.sh has built and unpacked. */
export interface Image {
  /** The folder of its files. */
  readonly root: string
  readonly config: ImageConfig
}

const imageOf = (name: string): Image => ({
  root: given(`VERIFIED_${name}_ROOT`),
  // The image's own description. Buildah shows both formats.
  config: JSON.parse(readFileSync(given(`VERIFIED_${name}_IMAGE`), "utf8")).Docker.config
})

/** The image for Airbyte. */
export const connectorImage = imageOf("CONNECTOR")

/** The image with DuckDB. */
export const runImage = imageOf("RUN")

/** The files of the image that both were built from. */
export const base = given("VERIFIED_BASE")

/** How a platform starts a container. */
export interface ContainerOptions {
  /** `id:id`, instead of the image's own user. */
  readonly user?: string
  readonly cwd?: string
  /** Folders of this machine, and where the container sees them. */
  readonly mounts?: Readonly<Record<string, string>>
  /** Lets it write where its user may; otherwise /tmp is all there is. */
  readonly writable?: boolean
  /** What to do with it once it has printed something. */
  readonly onOutput?: (signal: (name: NodeJS.Signals) => void) => void
}

// Runs in namespaces of its own, so whatever it mounts is gone with it, and `exec`s to the end: the command is process 1.
const enter = `set -eu
root=$1 user=$2 cwd=$3 writable=$4 mounts=$5 talk=$6
shift 6
# Whom to signal: its number outside, which only the outer /proc has.
cut -d ' ' -f 4 /proc/self/stat > "$talk/pid"
mount --bind "$root" "$root"
for pair in $mounts; do mkdir -p "$root\${pair#*:}"; done
[ "$writable" = true ] || mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for pair in $mounts; do mount --bind "\${pair%%:*}" "$root\${pair#*:}"; done
exec chroot --userspec="$user" --groups= "$root" /usr/bin/env --ignore-environment --chdir="$cwd" "$@"`

// Output goes through named pipes, as in Airbyte's pods.
const start = `set -eu
talk=$6
mkfifo "$talk/out" "$talk/err"
cat "$talk/out" &
cat "$talk/err" >&2 &
status=0
unshare --mount --pid --fork --kill-child sh -c "$0" sh "$@" > "$talk/out" 2> "$talk/err" || status=$?
wait
exit "$status"`

/** Runs a command as the first process of a container. */
export const run = Effect.fnUntraced(function* (
  { config, root }: Image,
  command: ReadonlyArray<string>,
  options: ContainerOptions = {}
) {
  const talk = yield* connector.workspace
  const mounts = Object.entries(options.mounts ?? {}).map((pair) => pair.join(":"))
  return yield* Effect.callback<ChildResult>((resume) => {
    const child = spawn("sh", [
      "-c",
      start,
      enter,
      root,
      options.user ?? config.User,
      options.cwd ?? config.WorkingDir,
      `${options.writable ?? false}`,
      mounts.join(" "),
      talk.path(""),
      ...config.Env,
      ...command
    ])
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      if (stdout === "") {
        options.onOutput?.((name) => process.kill(Number(readFileSync(talk.path("pid"), "utf8")), name))
      }
      stdout += chunk
    })
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr += chunk
    })
    child.once("close", (code, signal) =>
      resume(
        Effect.succeed({
          code,
          signal,
          stdout,
          stderr,
          get messages() {
            return stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]))
          }
        })
      )
    )
    return Effect.sync(() => child.kill())
  })
}, Effect.scoped)
