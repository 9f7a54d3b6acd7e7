#!/usr/bin/env bash
# Builds both images from the unchanged Dockerfile, and runs them as Kubernetes and Docker do (test/shipping). Needs root on
# Debian or Ubuntu, but no Docker: buildah builds them, on a base image that this script creates from Debian's packages and
# npm's Node package, under the name in the Dockerfile. The base stays in node_modules/.cache/image; all else is removed.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "scripts/verify-image.sh creates chroots and installs Debian's packages: run it as root on Debian or Ubuntu." >&2
  exit 1
fi
missing=()
for program in buildah debootstrap; do command -v "$program" > /dev/null || missing+=("$program"); done
if [ "${#missing[@]}" -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=120 update
  apt-get -qq -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "${missing[@]}" > /dev/null
fi
node scripts/setup.mjs
export PATH="$PWD/node_modules/.bin:$PATH"

base=$(sed -n 's/^ARG NODE_IMAGE=//p' Dockerfile)
node=$(node -p 'process.versions.node')
suite=bookworm
if [ "$base" != "docker.io/library/node:$node-$suite-slim" ]; then
  echo "The Dockerfile's NODE_IMAGE is $base, but package.json's Node is $node, on Debian's $suite." >&2
  exit 1
fi

cache=$PWD/node_modules/.cache/image
mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9
# Separate storage and containers, independent of the machine's.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$cache/storage" "$cache/run" > "$cache/storage.conf"
export CONTAINERS_STORAGE_CONF=$cache/storage.conf
connector=localhost/source-prometheus:verified
run=localhost/source-prometheus:verified-run

work=$(mktemp -d)
# Also removes the leftovers of a killed run.
clean() {
  buildah umount --all > /dev/null 2>&1 || true
  buildah rm --all > /dev/null 2>&1 || true
  buildah rmi "$connector" "$run" > /dev/null 2>&1 || true
  buildah rmi --prune > /dev/null 2>&1 || true
}
trap 'status=$?; clean; rm -rf "$work"; exit "$status"' EXIT
clean

# Prints the name of a step, and the step's output only if it fails.
step() {
  echo "$1 ..." >&2
  shift
  "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; echo "This step failed: $*" >&2; exit 1; }
}

make_base() {
  local container root
  container=$(buildah from scratch)
  root=$(buildah mount "$container")
  debootstrap --variant=minbase "$suite" "$root"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
  chroot "$root" groupadd --gid 1000 node
  chroot "$root" useradd --uid 1000 --gid node --shell /bin/bash --create-home node
  install -D node_modules/node/bin/node "$root/usr/local/bin/node"
  npm install --global --prefix "$root/usr/local" --no-audit --no-fund "npm@$(npm --version)"
  # Mount points for files of this machine in the build below: buildah would otherwise leave them in the built image.
  mkdir -p "$root/root/.npm"
  touch "$root/run/certificates.pem" "$root/etc/hosts"
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env "NODE_VERSION=$node" \
    --entrypoint '["docker-entrypoint.sh"]' --cmd node "$container"
  buildah commit --quiet --rm "$container" "$base"
}
recipe=$(declare -f make_base | sha256sum)
if [ "$(cat "$cache/recipe" 2> /dev/null)" != "$recipe" ] || ! buildah inspect --type image "$base" > /dev/null 2>&1; then
  rm -f "$cache/recipe"
  buildah rmi --all --force > /dev/null
  step "Making the base image (once)" make_base
  echo "$recipe" > "$cache/recipe"
fi

# The current npm settings from all sources, and the certificates that this machine trusts.
settings=$work/npmrc
(umask 077 && {
  for file in "$(npm config get globalconfig)" "$(npm config get userconfig)"; do
    if [ -f "$file" ]; then cat "$file"; echo; fi
  done
  env | sed -n 's/^npm_config_\(registry\|proxy\|https_proxy\|noproxy\|strict_ssl\)=/\1=/Ip' | sed 's/^\([a-z]*\)_\([a-z]*\)=/\1-\2=/I'
  if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then echo "cafile=/run/certificates.pem"; fi
} > "$settings")
build() {
  local volumes=(--volume "$(npm config get cache):/root/.npm")
  if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then volumes+=(--volume "$NODE_EXTRA_CA_CERTS:/run/certificates.pem:ro"); fi
  buildah build --pull-never --secret "id=npmrc,src=$settings" "${volumes[@]}" "$@" .
}
mkdir -p "$(npm config get cache)"
# The connector's first: a build that names no target makes it.
step "Building the connector's image" build --tag "$connector"
step "Building the image with DuckDB" build --target run --tag "$run"

# Where an image's files are.
unpack() {
  buildah mount "$(buildah from --pull-never "$1")"
}
VERIFIED_BASE=$(unpack "$base")
VERIFIED_CONNECTOR_ROOT=$(unpack "$connector")
VERIFIED_RUN_ROOT=$(unpack "$run")
VERIFIED_CONNECTOR_IMAGE=$work/connector.json
VERIFIED_RUN_IMAGE=$work/run.json
buildah inspect --type image "$connector" > "$VERIFIED_CONNECTOR_IMAGE"
buildah inspect --type image "$run" > "$VERIFIED_RUN_IMAGE"
export VERIFIED_BASE VERIFIED_CONNECTOR_ROOT VERIFIED_RUN_ROOT VERIFIED_CONNECTOR_IMAGE VERIFIED_RUN_IMAGE
vitest run --config test/shipping/vitest.config.ts image runImage
