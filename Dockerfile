# The connector as Airbyte runs it, and for everybody who would rather not install Node:
#   docker build --tag airbyte/source-prometheus .
#   docker run --rm airbyte/source-prometheus spec
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

FROM ${NODE_IMAGE}
# Airbyte wants a user `airbyte` with the id 1000, which Node's image has given to `node`, and folders that it may write to.
RUN groupmod --new-name airbyte node \
    && usermod --login airbyte --home /home/airbyte --move-home node \
    && install --directory --owner=airbyte --group=airbyte /airbyte /config /secrets
# All that the program consists of, and the licences of what is in it. It belongs to root, so that nothing that runs as another user can change it.
COPY --from=build /build/LICENSE /build/dist/source-prometheus.js /build/dist/*.mjs /build/dist/THIRD-PARTY-LICENSES \
    /usr/local/lib/source-prometheus/
ARG VERSION
LABEL io.airbyte.name="airbyte/source-prometheus" \
      io.airbyte.version="${VERSION}" \
      org.opencontainers.image.title="source-prometheus" \
      org.opencontainers.image.description="Replicates Prometheus metrics: an Airbyte source connector and an exporter of its own" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
# Kubernetes starts the connector by this variable and in another folder, Docker by the entrypoint: they are to be the same.
# One arena of malloc's is enough for a program that allocates in one thread, and saves some megabytes. The heap needs no setting:
# Node takes the container's limit for the machine's memory.
ENV AIRBYTE_ENTRYPOINT="/usr/local/bin/node /usr/local/lib/source-prometheus/source-prometheus.js" \
    MALLOC_ARENA_MAX=1
WORKDIR /airbyte
# By its number, which `runAsNonRoot` of Kubernetes can check.
USER 1000:1000
ENTRYPOINT ["/usr/local/bin/node", "/usr/local/lib/source-prometheus/source-prometheus.js"]
