# Looks at a host: one command, one round trip; changes nothing. Needs a POSIX shell and the usual tools, nothing of ours.
# Prints lines `queen-probe KEY VALUE` between `begin` and `end`; probe-report.ts knows the keys.
# $1 state directory, $2 install directory or '', $3 models directory or '', $4 port, $5 seconds that each program which is
# asked something may take; then NUMBER=PROGRAM for each configured runtime, `--`, and the words of the hive program, if any.
set -u
LC_ALL=C; export LC_ALL
state=$1; install=$2; models=$3; port=$4; limit=$5; shift 5
say() { printf 'queen-probe %s %s\n' "$1" "$2"; }
clean() { tr '\n\t' '  ' | tr -d '\001-\037\177' | cut -c1-400; }
scratch=$(mktemp -d) || { say begin 1; say no_scratch 1; say end 1; exit 1; }
trap 'rm -rf -- "$scratch"' EXIT
# Runs a program aside and leaves it when it takes too long: one in state D (nvidia-smi on a sick driver) cannot be killed.
bounded() {
  rm -f -- "$scratch/code"
  ( timeout -s KILL "$limit" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    echo $? >"$scratch/code.new"; mv -- "$scratch/code.new" "$scratch/code" ) </dev/null >/dev/null 2>&1 &
  looks=$((limit * 20 + 10))
  while [ ! -e "$scratch/code" ] && [ "$looks" -gt 0 ]; do sleep 0.05; looks=$((looks - 1)); done
  code=$(cat -- "$scratch/code" 2>/dev/null || echo 137)
}
complaint() { if [ "$code" = 137 ]; then echo "no answer within $limit s"; else cat "$scratch/err" "$scratch/out" | head -n 3 | clean; fi; }

say begin 1
say time "$(date +%s)"
say os "$(uname -s)"
say kernel "$(uname -r)"
say arch "$(uname -m)"
say user "$(id -un 2>/dev/null || id -u)"
say libc "$({ getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1; } | head -n 1 | clean)"
for tool in flock gzip sha256sum timeout tail ln mv; do command -v "$tool" >/dev/null 2>&1 || say missing "$tool"; done
# Another look at this machine may hold it just now: that is said with our code, by a flock that knows both.
flock -F -n -E 75 / true >/dev/null 2>&1
case $? in 0 | 75) say flock ok ;; esac
[ -r /proc/meminfo ] && say memory "$(awk '/^MemTotal:/ {t = $2} /^MemAvailable:/ {a = $2} END {print t, a}' /proc/meminfo)"

storage() {
  place=$2
  while [ ! -d "$place" ]; do
    [ -e "$place" ] && say "$1.blocked" "$place"
    parent=$(dirname -- "$place")
    [ "$parent" = "$place" ] && break
    place=$parent
  done
  say "$1.place" "$place"
  [ -w "$place" ] && [ -x "$place" ] && say "$1.writable" yes
  say "$1.magic" "$(stat -f -c %t -- "$place" 2>/dev/null)"
  say "$1.type" "$(findmnt -n -o FSTYPE -T "$place" 2>/dev/null | head -n 1)"
  say "$1.options" "$(findmnt -n -o OPTIONS -T "$place" 2>/dev/null | head -n 1)"
  say "$1.free_kib" "$(df -Pk -- "$place" 2>/dev/null | awk 'NR == 2 {print $4}')"
}
storage state "$state"
[ -n "$install" ] && storage install "$install"
if [ -n "$models" ]; then
  if [ -d "$models" ]; then say models found; else say models missing; fi
fi

for device in /sys/bus/pci/devices/*; do
  case $(cat "$device/class" 2>/dev/null) in 0x03*) ;; *) continue ;; esac
  case $(cat "$device/vendor" 2>/dev/null) in 0x10de) say pci nvidia ;; 0x1002) say pci amd ;; esac
done
if command -v nvidia-smi >/dev/null 2>&1; then
  bounded nvidia-smi --query-gpu=uuid,name,memory.total,driver_version --format=csv,noheader,nounits
  if [ "$code" = 0 ]; then
    while read -r line; do say nvidia "$(printf '%s' "$line" | clean)"; done <"$scratch/out"
  else
    say nvidia_error "$(complaint)"
  fi
fi
for tool in rocm-smi amd-smi /opt/rocm/bin/rocm-smi; do
  command -v "$tool" >/dev/null 2>&1 || continue
  case $tool in amd-smi) bounded amd-smi list ;; *) bounded "$tool" --showdriverversion ;; esac
  if [ "$code" = 0 ]; then say amd_tool "$tool"; else say amd_error "$(complaint)"; fi
  break
done
for card in /sys/class/drm/card[0-9]*/device/mem_info_vram_total; do
  [ -r "$card" ] && say amd_memory "$(cat "$card")"
done

running=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$state/identity.json" 2>/dev/null | head -n 1)
[ -n "$running" ] && say identity_pid "$running"
if [ "$port" != 0 ]; then
  hex=$(printf ':%04X' "$port")
  taken=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v end="$hex" '$4 == "0A" && substr($2, length($2) - 4) == end {print $8, $10; exit}')
  if [ -n "$taken" ]; then
    say port_user "$(id -un "${taken%% *}" 2>/dev/null || echo "${taken%% *}")"
    owner=$(ls -l /proc/[0-9]*/fd 2>/dev/null |
      awk -v socket="socket:[${taken##* }]" '/^\/proc\// {place = $0} index($0, socket) {split(place, part, "/"); print part[3]; exit}')
    [ -n "$owner" ] && say port_owner "$owner $(tr '\0' ' ' <"/proc/$owner/cmdline" 2>/dev/null | clean)"
  fi
fi

while [ $# -gt 0 ]; do
  [ "$1" = -- ] && { shift; break; }
  bin=${1#*=}
  found=$(command -v "$bin" 2>/dev/null)
  if [ -n "$found" ] && [ -f "$found" ]; then say bin "${1%%=*} found $bin"; else say bin "${1%%=*} missing $bin"; fi
  shift
done
for name in llama-server vllm sglang; do
  on_path=$(command -v "$name" 2>/dev/null)
  [ -n "$on_path" ] && say engine "$name path $on_path"
  for folder in "$HOME"/.local/bin "$HOME"/bin /usr/local/bin /opt/*/bin /opt/*/*/bin /opt/*/envs/*/bin \
    "$HOME"/.venv/bin "$HOME"/venv/bin "$HOME"/*/.venv/bin "$HOME"/*/venv/bin "$HOME"/*/envs/*/bin "$HOME"/*/build/bin /srv/*/bin; do
    [ -f "$folder/$name" ] && [ -x "$folder/$name" ] && [ "$folder/$name" != "$on_path" ] && say engine "$name aside $folder/$name"
  done
done

if [ $# -gt 0 ]; then
  bounded "$@" --version
  case $code in
    0) say hive_version "$(head -n 1 "$scratch/out" | clean)" ;;
    126 | 127) say hive_missing "$1" ;;
    *) say hive_error "$(complaint)" ;;
  esac
  case $(head -n 1 "$scratch/out" 2>/dev/null) in
    "hive "*)
      bounded "$@" status --json --state-dir "$state"
      say hive_status "$(tail -n 1 "$scratch/out" | tr -d '\001-\037\177')" ;;
  esac
fi
say end 1
