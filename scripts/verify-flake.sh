#!/usr/bin/env bash
# Evaluates every output of the flake with a stand-in for nixpkgs (test/shipping/nixpkgs), and checks the inputs of its
# builds (test/shipping/flake.check.ts). Nothing is built, and nixpkgs is not fetched. Debian's nix-bin is sufficient.
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
# Do not use the machine's store or settings.
export NIX_CONF_DIR=$work/etc NIX_USER_CONF_FILES=/dev/null HOME=$work
export NIX_CONFIG=$'experimental-features = nix-command flakes\nbuild-users-group ='
# Copy the files that git knows, as Nix sees a flake in a repository.
mkdir "$work/flake"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory="$work/flake"
flake=path:$work/flake

# Shows Nix's messages only on failure: otherwise it warns, for example, that the lock file does not match the stand-in.
run() {
  nix "$@" --store "$work/store" --no-write-lock-file --override-input nixpkgs "$flake/test/shipping/nixpkgs" \
    2> "$work/log" || { cat "$work/log" >&2; exit 1; }
}
run flake check "$flake" --no-build
for output in packages apps devShells checks; do
  run eval "$flake#$output" --json --apply "($(cat test/shipping/outputs.nix)).$output" > "$work/$output.json"
done
# Fails if the lock file does not match flake.nix.
nix flake metadata --json --store "$work/store" --no-update-lock-file "$flake" > "$work/metadata.json"

VERIFIED_FLAKE=$work vitest run --config test/shipping/vitest.config.ts flake
