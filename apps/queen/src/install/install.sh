# Looks after INSTALL_DIR on a host: versions/<sha256>/hive, and `current`, a link to the version in use. Prints lines
# `queen-install KEY VALUE` between `begin` and `end`; installation-report.ts knows the keys. Uploads are done by others.
# look DIR STATE_DIR             what is there; changes nothing
# adopt DIR SHA256 KEEP TOKEN    proves that a version runs here, makes it the current one, removes all but KEEP versions
# prove DIR SHA256               its hand-shake went well: it is not on trial any more
# back DIR TARGET TOKEN          makes an earlier version the current one again
# unpack DIR SHA256 WORKER TOKEN unpacks the embedded worker's bundle beside a version
# discard DIR SHA256             removes the directory of an upload that failed
# A version whose hand-shake is still to come has a file `.trial`, with the target of `current` from before it: whoever
# was interrupted in between, or another queen, finds it and can still go back.
set -u
LEFTOVER_MIN=120
LC_ALL=C; export LC_ALL
verb=$1; dir=$2; shift 2
# Where it really lies: processes are known by that name, whatever links lead there.
real=$(cd -- "$dir" 2>/dev/null && pwd -P) || real=$dir
say() { printf 'queen-install %s %s\n' "$1" "$2"; }
finish() { say end 1; exit 0; }
refuse() { say failed "$1"; finish; }
clean() { tr '\n\t' '  ' | tr -d '\001-\037\177' | cut -c1-300; }
is_version() { case $1 in *[!0-9a-f]*) return 1 ;; esac; [ "${#1}" = 64 ]; }

# A link is made beside its place and renamed over the old one, so that there is a current version at every instant.
switch_to() { # TARGET TOKEN
  ln -s -- "$1" "$dir/.current.$2" 2>/dev/null && mv -fT -- "$dir/.current.$2" "$dir/current" 2>/dev/null && return 0
  rm -f -- "$dir/.current.$2"
  return 1
}

# What `current` goes back to when the version behind it does not work; nothing when there is nothing that runs.
before_trial() {
  if [ -f "$dir/current/.trial" ]; then head -n 1 "$dir/current/.trial"; return; fi
  [ -x "$dir/current/hive" ] && readlink -- "$dir/current"
}

in_use() { # VERSION: does a process run from it?
  for exe in /proc/[0-9]*/exe; do
    case $(readlink -- "$exe" 2>/dev/null) in "$real/versions/$1/"*) return 0 ;; esac
  done
  return 1
}

# What installations have left that were killed: old, and for an upload with nobody who still writes it. A home may be
# shared with machines whose processes are not seen here, so that nothing young is touched.
sweep() {
  find "$real" -maxdepth 1 -name '.current.*' -type l -mmin +"$LEFTOVER_MIN" -exec rm -f -- {} + 2>/dev/null
  find "$real/versions" -mindepth 2 -maxdepth 2 \( -name '.hive-worker*' -o -name '.trial.*' -o -name '.*.upload-*' \) \
    -mmin +"$LEFTOVER_MIN" 2>/dev/null | while read -r leftover; do
    case $leftover in *.upload-*) [ -d "/proc/${leftover##*-}" ] && continue ;; esac
    rm -rf -- "$leftover"
  done
}

look() {
  say arch "$(uname -m)"
  if [ -L "$dir/current" ]; then
    say current "$(readlink -- "$dir/current")"
    [ -x "$dir/current/hive" ] && say current_runs yes
    [ -f "$dir/current/.trial" ] && say trial "$(head -n 1 "$dir/current/.trial" | clean)"
  elif [ -e "$dir/current" ]; then
    say foreign "$("$dir/current/hive" --version </dev/null 2>&1 | head -n 1 | clean)"
  fi
  for version in "$dir"/versions/*; do
    name=${version##*/}
    is_version "$name" && [ -x "$version/hive" ] || continue
    say version "$name"
    [ -f "$version/hive-worker/.sha256" ] && say worker "$name $(head -n 1 "$version/hive-worker/.sha256" | clean)"
  done
  place=$dir
  while [ ! -d "$place" ] && [ "$place" != / ]; do
    [ -e "$place" ] && say blocked "$place"
    place=$(dirname -- "$place")
  done
  [ -w "$place" ] && say writable yes
  say free_kib "$(df -Pk -- "$place" 2>/dev/null | awk 'NR == 2 {print $4}')"
  # The daemon that is known to run, by its process identity: pid and start time, field 22 of its stat.
  pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$1/identity.json" 2>/dev/null | head -n 1)
  started=$(sed -n 's/.*"start_time": *\([0-9]*\).*/\1/p' "$1/identity.json" 2>/dev/null | head -n 1)
  if [ -n "$pid" ] && [ -n "$started" ]; then
    now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 1,20)
    case $now in
      [ZX]*) ;; # dead, and nobody has taken note of it
      *" $started") say running "$pid" ;;
    esac
  fi
}

adopt() { # SHA256 KEEP TOKEN
  version=$dir/versions/$1
  said=$("$version/hive" --version </dev/null 2>&1); code=$?
  case $code:$said in
    0:hive\ *) ;;
    *)
      rm -rf -- "$version"
      refuse "it does not run there (exit code $code): $(printf '%s' "$said" | clean)" ;;
  esac
  previous=$(before_trial 2>/dev/null)
  [ "$previous" = "versions/$1" ] && previous=
  # Another queen may have made it the current one already: what she wrote down, or has proven, stays.
  if [ "$(readlink -- "$dir/current" 2>/dev/null)" != "versions/$1" ]; then
    printf '%s\n' "$previous" 2>/dev/null >"$version/.trial.$3" && mv -fT -- "$version/.trial.$3" "$version/.trial" 2>/dev/null ||
      { rm -f -- "$version/.trial.$3"; refuse "$version cannot be written to; look at the space there"; }
  fi
  switch_to "versions/$1" "$3" || refuse "the link $dir/current cannot be made"
  touch -- "$version"
  sweep
  say previous "$previous"
  kept=0
  ls -1t -- "$dir/versions" | while read -r name; do
    is_version "$name" || continue
    kept=$((kept + 1))
    [ "$kept" -le "$2" ] && continue
    [ "$name" = "$1" ] || [ "versions/$name" = "$previous" ] || in_use "$name" && continue
    rm -rf -- "$dir/versions/$name" && say removed "$name"
  done
}

unpack() { # SHA256 WORKER TOKEN
  version=$dir/versions/$1; archive=$version/.hive-worker-$2.tar.gz; fresh=$version/.hive-worker.$3
  mkdir -- "$fresh" && tar -xzf "$archive" -C "$fresh" 2>/dev/null && [ -f "$fresh/hive-worker/main.mjs" ] &&
    printf '%s\n' "$2" >"$fresh/hive-worker/.sha256"
  if [ $? != 0 ]; then
    rm -rf -- "$fresh" "$archive"
    refuse "the worker's bundle cannot be unpacked in $version; look at the space there, and for tar and gzip"
  fi
  [ -e "$version/hive-worker" ] && mv -T -- "$version/hive-worker" "$fresh/old"
  if ! mv -T -- "$fresh/hive-worker" "$version/hive-worker" 2>/dev/null; then
    [ -e "$fresh/old" ] && mv -T -- "$fresh/old" "$version/hive-worker"
    rm -rf -- "$fresh" "$archive"
    refuse "$version/hive-worker cannot be put in its place"
  fi
  sweep
  rm -rf -- "$fresh" "$archive"
}

say begin 1
case $verb in
  look) look "$@" ;;
  adopt) adopt "$@" ;;
  prove) rm -f -- "$dir/versions/$1/.trial" || refuse "$dir/versions/$1/.trial cannot be removed" ;;
  back) switch_to "$1" "$2" || refuse "the link $dir/current cannot be made" ;;
  unpack) unpack "$@" ;;
  discard)
    # What received the upload may still be ending.
    looks=40
    while [ -d "$dir/versions/$1" ] && ! rmdir -- "$dir/versions/$1" 2>/dev/null && [ "$looks" -gt 0 ]; do
      sleep 0.1
      looks=$((looks - 1))
    done
    rmdir -- "$dir/versions" 2>/dev/null && rmdir -- "$dir" 2>/dev/null ;;
esac
finish
