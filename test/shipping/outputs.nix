# What flake.check.ts looks at, of each of the flake's outputs.
let
  inherit (builtins) attrNames mapAttrs;
in
{
  packages = mapAttrs (_: { default, ... }@all: {
    package = default.given;
    dependencies = mapAttrs (_: fetched: { inherit (fetched.given) outputHash command; })
      default.given.npmDeps.given.packageSourceOverrides;
    image = if all ? image then all.image.given else null;
  });
  apps = apps: apps;
  devShells = mapAttrs (_: { default }: map (package: package.name) default.given.packages);
  checks = mapAttrs (_: attrNames);
}
