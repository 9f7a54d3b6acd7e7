# Stands in for nixpkgs where that cannot be fetched: what the flake calls is here, makes derivations that build nothing,
# and keeps in `given` what it was called with.
{
  outputs =
    { self }:
    let
      inherit (builtins) elemAt filter isString length listToAttrs mapAttrs match pathExists split;

      lib = {
        inherit (builtins) mapAttrs removeAttrs replaceStrings;
        importJSON = path: builtins.fromJSON (builtins.readFile path);
        genAttrs = names: value: listToAttrs (map (name: { inherit name; value = value name; }) names);
        optionalAttrs = condition: attrs: if condition then attrs else { };
        last = list: elemAt list (length list - 1);
        splitString = separator: text: filter isString (split separator text);
        getExe = package: "${package}/bin/${package.given.meta.mainProgram}";
        licenses.mit.spdxId = "MIT";
        fetchers.proxyImpureEnvVars = [ "https_proxy" ];
        fileset = {
          unions = paths: map (path: if pathExists path then path else throw "There is no ${toString path}") paths;
          # The names below the root, in place of the files.
          toSource =
            { root, fileset }:
            map (path: elemAt (match "${toString root}/(.*)" (toString path)) 0) fileset;
        };
      };

      packagesOf =
        system:
        let
          build =
            name: given: attrs:
            derivation ({ inherit name system; builder = "/bin/sh"; } // attrs) // { inherit given; };
          installed = name: build name { } { };
        in
        {
          stdenv.hostPlatform.isLinux = match ".*-linux" system != null;
          nodejs_24 = installed "nodejs-24";
          cacert = installed "cacert";
          coreutils = installed "coreutils";
          duckdb = installed "duckdb";
          victoriametrics = installed "victoriametrics";
          prometheus = installed "prometheus" // { cli = installed "prometheus-cli"; };
          buildNpmPackage =
            given:
            build "${given.pname}-${given.version}" given { dependencies = [ given.npmDeps given.npmConfigHook given.nodejs ]; };
          importNpmLock = {
            npmConfigHook = installed "npm-config-hook";
            __functor =
              _: { npmRoot, packageSourceOverrides }@given:
              build "npm-dependencies" given { sources = builtins.attrValues packageSourceOverrides; };
          };
          runCommand = name: attrs: command: build name (attrs // { inherit command; }) (attrs // { inherit command; });
          mkShell = given: build "nix-shell" given { inherit (given) packages; };
          dockerTools = {
            binSh = installed "bin-sh";
            usrBinEnv = installed "usr-bin-env";
            fakeNss.override = given: build "fake-nss" given { };
            buildLayeredImage = given: build (lib.replaceStrings [ "/" ] [ "-" ] given.name) given { inherit (given) contents fakeRootCommands; };
          };
        };
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ] packagesOf;
    };
}
