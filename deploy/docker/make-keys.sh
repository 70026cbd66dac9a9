#!/bin/sh
# make-keys.sh NODE...
# Makes what the queen and the nodes of docker-compose.yml know each other by, where it is not there yet: her key, one host
# key for each node, and the two lists that name them. /keys/queen and /keys/NODE are a volume each, so that a node sees
# neither the queen's key nor another node's.
set -eu
umask 077
cd /keys

make_key() { # FILE
  [ -s "$1" ] || ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$1"
}

make_key queen/id_ed25519
for node in "$@"; do
  make_key "$node/host_key"
  cp queen/id_ed25519.pub "$node/authorized_keys"
  printf '[%s]:2222 %s\n' "$node" "$(cut -d ' ' -f 1,2 "$node/host_key.pub")"
done >queen/known_hosts.new
mv queen/known_hosts.new queen/known_hosts
echo "keys: the queen and $* know each other"
