#!/bin/sh
# `queen` inside the image, without a package manager between the signals and the program.
exec /app/node_modules/.bin/node --max-semi-space-size=16 /app/apps/queen/src/main.ts "$@"
