#!/usr/bin/env bash
# Evaluates every output of the flake, with a stand-in for nixpkgs (test/shipping/nixpkgs), and checks what it would build
# with (test/shipping/flake.check.ts). Nothing is built, and nixpkgs is not fetched. Debian's nix-bin will do.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v nix > /dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "scripts/verify-flake.sh needs Nix: install it, or run this as root on Debian or Ubuntu." >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=120 update
  apt-get -qq -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends nix-bin > /dev/null
fi
node scripts/setup.mjs
export PATH="$PWD/node_modules/.bin:$PATH"

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
# Neither the machine's store nor its settings take part.
export NIX_CONF_DIR=$work/etc NIX_USER_CONF_FILES=/dev/null HOME=$work
export NIX_CONFIG=$'experimental-features = nix-command flakes\nbuild-users-group ='
# What git knows of, as Nix sees a flake in a repository.
mkdir "$work/flake"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory="$work/flake"
flake=path:$work/flake

# Shows what Nix says only where it failed: that the lock file is not the stand-in's, for one.
run() {
  nix "$@" --store "$work/store" --no-write-lock-file --override-input nixpkgs "$flake/test/shipping/nixpkgs" \
    2> "$work/log" || { cat "$work/log" >&2; exit 1; }
}
run flake check "$flake" --no-build
for output in packages apps devShells checks; do
  run eval "$flake#$output" --json --apply "($(cat test/shipping/outputs.nix)).$output" > "$work/$output.json"
done
# Fails where the lock file is not the one of flake.nix.
nix flake metadata --json --store "$work/store" --no-update-lock-file "$flake" > "$work/metadata.json"

VERIFIED_FLAKE=$work vitest run --config test/shipping/vitest.config.ts flake
