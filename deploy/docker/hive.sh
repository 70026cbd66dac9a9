#!/bin/sh
# `hive` inside the image.
exec /app/node_modules/.bin/node /app/apps/hive/src/main.ts "$@"
