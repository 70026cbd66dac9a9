#!/bin/sh
# `queen` inside the image, without a package manager between the signals and the program. Which flags Node is given is asked of
# Node: only it knows how many cores a container may use.
set -e
node=/app/node_modules/.bin/node
main=/app/apps/queen/src/main.ts
print='import("/app/packages/daemon/node-flags.mjs").then((m) => console.log(m.nodeFlagsFor(process.argv[1], process.argv.slice(2)).join(" ")))'
case " $* " in
  *" serve "*) flags=$($node -e "$print" -- "$main" "$@") ;;
  *) flags= ;;
esac
# shellcheck disable=SC2086
exec $node $flags $main "$@"
