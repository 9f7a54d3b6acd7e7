{
  description = "Replicates Prometheus metrics: an Airbyte source connector and an exporter of its own";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      package = lib.importJSON ./package.json;
      lock = lib.importJSON ./package-lock.json;

      # nixpkgs 26.11 has given up Intel Macs, and throws where it is asked for them. With 26.05 they are there:
      # `--override-input nixpkgs github:NixOS/nixpkgs/nixpkgs-26.05-darwin`.
      systems = builtins.filter (system: (builtins.tryEval nixpkgs.legacyPackages.${system}.stdenv).success) [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      forEachSystem = outputs: lib.genAttrs systems (system: outputs nixpkgs.legacyPackages.${system});

      nodeOf = pkgs: pkgs.nodejs_24;

      # One package of the lock file, which names no registry and so leaves that to npm. Its hash is there, too: none has to be
      # kept here.
      fetchPackage =
        pkgs: path: { version, integrity, ... }:
        let
          name = lib.last (lib.splitString "node_modules/" path);
        in
        pkgs.runCommand "${lib.replaceStrings [ "@" "/" ] [ "" "-" ] name}-${version}.tgz"
          {
            outputHash = integrity;
            outputHashMode = "flat";
            nativeBuildInputs = [ (nodeOf pkgs) ];
            NODE_EXTRA_CA_CERTS = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";
            impureEnvVars = lib.fetchers.proxyImpureEnvVars;
          }
          ''
            export HOME=$TMPDIR
            npm pack --silent "${name}@${version}"
            mv ./*.tgz "$out"
          '';

      source-prometheus =
        pkgs:
        pkgs.buildNpmPackage {
          pname = package.name;
          inherit (package) version;
          src = lib.fileset.toSource {
            root = ./.;
            fileset = lib.fileset.unions [
              ./package.json
              ./package-lock.json
              ./README.md
              ./LICENSE
              ./scripts
              ./tsconfig.build.json
              ./tsconfig.json
              ./src
            ];
          };
          nodejs = nodeOf pkgs;
          npmDeps = pkgs.importNpmLock {
            npmRoot = ./.;
            packageSourceOverrides = lib.mapAttrs (fetchPackage pkgs) (removeAttrs lock.packages [ "" ]);
          };
          inherit (pkgs.importNpmLock) npmConfigHook;
          # Scripts of packages would fetch a Node of their own; `prebuild` would install once more.
          npmFlags = [ "--ignore-scripts" ];
          meta = {
            inherit (package) description;
            license = lib.licenses.mit;
            mainProgram = "source-prometheus";
            platforms = systems;
          };
        };

      # The same container as that of the Dockerfile: Nix' own paths are behind links.
      image =
        pkgs:
        let
          node = "/usr/local/bin/node";
          folder = "/usr/local/lib/source-prometheus";
        in
        pkgs.dockerTools.buildLayeredImage {
          name = "airbyte/source-prometheus";
          tag = package.version;
          contents = [
            pkgs.dockerTools.binSh
            pkgs.dockerTools.usrBinEnv
            pkgs.coreutils
            (pkgs.dockerTools.fakeNss.override {
              extraPasswdLines = [ "airbyte:x:1000:1000::/airbyte:/bin/sh" ];
              extraGroupLines = [ "airbyte:x:1000:" ];
            })
            (pkgs.runCommand "source-prometheus-links" { } ''
              mkdir -p "$out/usr/local/bin" "$out/usr/local/lib"
              ln -s ${nodeOf pkgs}/bin/node "$out${node}"
              ln -s ${source-prometheus pkgs}/lib/node_modules/${package.name}/dist "$out${folder}"
            '')
          ];
          fakeRootCommands = ''
            mkdir -p ./airbyte ./config ./secrets ./tmp
            chown 1000:1000 ./airbyte ./config ./secrets
            chmod 1777 ./tmp
          '';
          config = {
            User = "1000:1000";
            WorkingDir = "/airbyte";
            Entrypoint = [
              node
              "${folder}/source-prometheus.js"
            ];
            Env = [
              "PATH=/usr/local/bin:/bin:/usr/bin"
              "MALLOC_ARENA_MAX=1"
              "AIRBYTE_ENTRYPOINT=${node} ${folder}/source-prometheus.js"
            ];
            Labels = {
              "io.airbyte.name" = "airbyte/source-prometheus";
              "io.airbyte.version" = package.version;
              "org.opencontainers.image.title" = "source-prometheus";
              "org.opencontainers.image.description" =
                "Replicates Prometheus metrics: an Airbyte source connector and an exporter of its own";
              "org.opencontainers.image.licenses" = "MIT";
              "org.opencontainers.image.version" = package.version;
            };
          };
        };

      # Containers are of Linux.
      imageOf = pkgs: lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux { image = image pkgs; };
    in
    {
      packages = forEachSystem (pkgs: { default = source-prometheus pkgs; } // imageOf pkgs);

      apps = forEachSystem (pkgs: {
        default = {
          type = "app";
          program = lib.getExe (source-prometheus pkgs);
          meta.description = package.description;
        };
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            (nodeOf pkgs)
            pkgs.prometheus
            # `promtool`
            pkgs.prometheus.cli
            pkgs.victoriametrics
            pkgs.duckdb
          ];
        };
      });

      checks = forEachSystem (
        pkgs:
        {
          package = source-prometheus pkgs;
          version = pkgs.runCommand "source-prometheus-version" { } ''
            ${lib.getExe (source-prometheus pkgs)} --version | tee "$out" | grep -F "${package.version}"
            ${lib.getExe (source-prometheus pkgs)} spec | grep -F '"type":"SPEC"'
          '';
        }
        // imageOf pkgs
      );
    };
}
