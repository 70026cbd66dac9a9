#!/bin/sh
# `queen` inside the image, without a package manager between the signals and the program. V8's flags are those of
# scripts/pinned-node.mjs, which says why and is not in the image; only Node knows how many cores a container may use.
node=/app/node_modules/.bin/node
flags=--max-semi-space-size=16
case " $* " in
  *" serve "*) flags="$flags --v8-pool-size=$($node -p 'Math.min(Math.max(os.availableParallelism() - 1, 1), 4)')" ;;
esac
# shellcheck disable=SC2086
exec $node $flags /app/apps/queen/src/main.ts "$@"
