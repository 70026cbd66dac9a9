#!/bin/sh
# `queen` inside the image, without a package manager between the signals and the program. V8's flags are those of
# scripts/pinned-node.mjs, which says why.
cores=$(nproc)
threads=$((cores > 4 ? 4 : cores > 2 ? cores - 1 : 1))
exec /app/node_modules/.bin/node --max-semi-space-size=16 --v8-pool-size=$threads /app/apps/queen/src/main.ts "$@"
