import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip } from "node:zlib";
import { QhError } from "@queen-and-hive/protocol";
import { framedLine, lastWords } from "./framed-line.ts";
import type { Argv, CommandEnd, ExecOptions, UploadOptions, UploadSource } from "./host.ts";

const MARK = "queen-upload";

/**
 * Receives a gzip stream as a file: $1 target, $2 mode, $3 its SHA-256, $4 seconds after which it gives up by itself, for
 * a link that was cut leaves it waiting with nobody to tell it. Whatever happens, the temporary file is gone at its end.
 */
const RECEIVE_SCRIPT = `
set -u
target=$1; mode=$2; want=$3; limit=$4
say() { printf '\\n${MARK} %s\\n' "$1"; exit "$2"; }
directory=$(dirname -- "$target")
mkdir -p -- "$directory" || say directory 1
partial="$directory/.$(basename -- "$target").upload-$$"
trap 'rm -f -- "$partial"' EXIT
trap 'exit 1' HUP INT TERM PIPE
umask 077
timeout "$limit" gzip -dc >"$partial" || say receive 1
got=$(sha256sum <"$partial") || say receive 1
[ "\${got%% *}" = "$want" ] || say checksum 1
chmod "$mode" -- "$partial" && mv -f -- "$partial" "$target" || say place 1
say done 0
`;

/** What the script said -> what that means for people. */
const FAILURES: Readonly<Record<string, string>> = {
  directory: "its directory cannot be made; look at the permissions there",
  receive: "it did not arrive whole; look at the space that is left there and at the connection",
  checksum: "what arrived is not what was to be sent, damaged on its way or replaced here meanwhile; try again",
  place: "it cannot be put in its place; look at the permissions there",
};

/**
 * Uploads through a host's `exec`: a gzip stream on the standard input of a script that checks, then renames. Throws
 * `upload_failed` and what `exec` throws; then nothing is left there.
 */
export async function uploadFile(
  exec: (argv: Argv, options: ExecOptions) => Promise<CommandEnd>,
  source: UploadSource,
  target: string,
  { mode, deadline, signal, onProgress }: UploadOptions,
): Promise<void> {
  const totalBytes = "file" in source ? await sizeOf(source.file) : source.bytes.length;
  const sha256 = await checksumOf(source);
  const limitS = Math.max(1, Math.ceil(Math.min(deadline.remainingMs(), LONGEST_UPLOAD_MS) / 1_000));
  const argv: Argv = ["sh", "-c", RECEIVE_SCRIPT, "queen-upload", target, mode.toString(8), sha256, String(limitS)];
  const input = createGzip({ level: constants.Z_BEST_SPEED });
  // The host would wait for the rest of a source that ends half-way.
  const unreadable = new AbortController();
  const sent = pipeline(readAll(source), counted(totalBytes, onProgress), input).then(
    () => null,
    (error: unknown) => {
      if (error instanceof QhError) unreadable.abort(error);
      return error;
    },
  );
  const given = signal === undefined ? unreadable.signal : AbortSignal.any([signal, unreadable.signal]);
  try {
    const end = await exec(argv, { deadline, signal: given, input });
    const said = framedLine(end.stdout, MARK);
    if (said === "done") return;
    const cause = input.destroyed ? await sent : null;
    throw new QhError(
      "upload_failed",
      `cannot upload ${target}: ${FAILURES[said ?? ""] ?? "it was cut short"} (${lastWords(end)})`,
      {
        cause,
      },
    );
  } finally {
    input.destroy();
    await sent;
  }
}

/** After this an upload that nobody limits is given up, milliseconds. */
const LONGEST_UPLOAD_MS = 3_600_000;

/** Throws `upload_failed` for what cannot be read here, and only for that. */
async function* readAll(source: UploadSource): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const chunk of open(source)) yield chunk;
  } catch (cause) {
    if ("file" in source) throw unreadableFile(source.file, cause);
    throw cause;
  }
}

function open(source: UploadSource): Readable {
  return "file" in source ? createReadStream(source.file) : Readable.from([source.bytes]);
}

function counted(totalBytes: number, onProgress: UploadOptions["onProgress"]): Transform {
  let sentBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sentBytes += chunk.length;
      onProgress?.(sentBytes, totalBytes);
      done(null, chunk);
    },
  });
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw unreadableFile(file, cause);
  }
}

function unreadableFile(file: string, cause: unknown): QhError {
  return new QhError("upload_failed", `cannot upload ${file}: it cannot be read here; look whether it is there and whole`, {
    cause,
  });
}

async function checksumOf(source: UploadSource): Promise<string> {
  if ("file" in source && source.sha256 !== undefined) return source.sha256;
  const hash = createHash("sha256");
  for await (const chunk of readAll(source)) hash.update(chunk);
  return hash.digest("hex");
}
