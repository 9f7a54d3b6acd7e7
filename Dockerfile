# Two images of one program. The connector, as Airbyte runs it, is the last stage and so the default:
#   docker build --tag airbyte/source-prometheus .
#   docker run --rm airbyte/source-prometheus spec
# The command `run` with DuckDB, for everybody who would rather not install Node:
#   docker build --target run --tag source-prometheus .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" source-prometheus run --demo --to duckdb:demo.duckdb
#
# Node's exact version, the one that package.json has for development, on Debian 12. Without a digest: the tag is built
# again for Debian's security fixes, and a digest would keep them out.
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim
# package.json's version. The build fails where it is another one.
ARG VERSION=0.1.0

# On the machine's own processor: the bundle is the same for all.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /build
# A layer of its own, which is built again only when dependencies change. Node is here, and what scripts of packages would
# fetch is of no use for a bundle. Those who read packages from a mirror give their settings of npm:
# `--secret id=npmrc,src=$HOME/.npmrc`; they stay out of the image.
COPY package.json package-lock.json ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm ci --ignore-scripts --prefer-offline --no-audit --no-fund
COPY . .
ARG VERSION
RUN node -e 'const { version } = require("./package.json"); if (version !== process.argv[1]) throw new Error(`VERSION is ${process.argv[1]}, but package.json has ${version}.`)' "$VERSION" \
    && node scripts/build.mjs

# DuckDB with the binding for the image's processor and glibc, which npm on any processor can fetch. It is what package.json
# has as dependencies: everything else is in the bundle.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS duckdb
WORKDIR /build
COPY package.json package-lock.json ./
ARG TARGETARCH
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    case "$TARGETARCH" in amd64) cpu=x64 ;; *) cpu=$TARGETARCH ;; esac \
    && npm ci --omit=dev --omit=peer --os=linux --cpu="$cpu" --libc=glibc \
      --ignore-scripts --prefer-offline --no-audit --no-fund \
    && rm node_modules/.package-lock.json

# What both images have in common.
FROM ${NODE_IMAGE} AS program
# Airbyte wants a user `airbyte` with the id 1000, which Node's image has given to `node`.
RUN groupmod --new-name airbyte node \
    && usermod --login airbyte --home /home/airbyte --move-home node
# All that the program consists of, and the licences of what is in it. It belongs to root, so that nothing that runs as another user can change it.
COPY --from=build /build/LICENSE /build/dist/source-prometheus.js /build/dist/*.mjs /build/dist/THIRD-PARTY-LICENSES \
    /usr/local/lib/source-prometheus/
# One arena of malloc's is enough for a program that allocates in one thread, and saves some megabytes. The heap needs no setting:
# Node takes the container's limit for the machine's memory.
ENV MALLOC_ARENA_MAX=1
# By its number, which `runAsNonRoot` of Kubernetes can check.
USER 1000:1000
ENTRYPOINT ["/usr/local/bin/node", "/usr/local/lib/source-prometheus/source-prometheus.js"]

# The command `run`, as any user. Whoever that is may write to the working folder, to a home folder, and to the folder into which
# DuckDB installs its extensions.
FROM program AS run
USER 0:0
RUN install --directory --mode=1777 /data /var/lib/duckdb \
    && chown root:root /home/airbyte \
    && chmod 1777 /home/airbyte
COPY --from=duckdb /build/node_modules /usr/local/lib/source-prometheus/node_modules
ARG VERSION
LABEL org.opencontainers.image.title="source-prometheus" \
      org.opencontainers.image.description="Replicates Prometheus metrics into DuckDB, Parquet and other destinations" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
# A user that the image does not know would have the root as its home.
ENV HOME=/home/airbyte \
    DUCKDB_EXTENSION_DIRECTORY=/var/lib/duckdb
WORKDIR /data
USER 1000:1000

# The connector. It is the last stage, because Airbyte and others build this file without a target.
FROM program AS connector
USER 0:0
# The folders that Airbyte writes to.
RUN install --directory --owner=airbyte --group=airbyte /airbyte /config /secrets
ARG VERSION
LABEL io.airbyte.name="airbyte/source-prometheus" \
      io.airbyte.version="${VERSION}" \
      org.opencontainers.image.title="source-prometheus" \
      org.opencontainers.image.description="Replicates Prometheus metrics: an Airbyte source connector and an exporter of its own" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
# Kubernetes starts the connector by this variable and in another folder, Docker by the entrypoint: they are to be the same.
ENV AIRBYTE_ENTRYPOINT="/usr/local/bin/node /usr/local/lib/source-prometheus/source-prometheus.js"
WORKDIR /airbyte
USER 1000:1000
