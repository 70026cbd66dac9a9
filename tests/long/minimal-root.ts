import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type ProcessIdentity, readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { REPOSITORY, runCommand, startProgram, temporaryDirectory, testEnvironment, until } from "@queen-and-hive/dev-env";

const SUITE = "bookworm";
const CACHE = join(REPOSITORY, ".cache");
const MAKE_WITHIN_MS = 600_000;
const COPY_WITHIN_MS = 120_000;

/** A Debian with nothing but its essential packages, in which commands run with a process table of their own. */
export interface MinimalRoot extends AsyncDisposable {
  /** The root directory, seen from outside. */
  readonly path: string;
  /** The words before a command that is to run inside. */
  readonly enter: readonly string[];
}

/** Copies a fresh root (made once by debootstrap and kept under .cache) and opens it. Needs root and debootstrap. */
export async function openMinimalRoot(): Promise<MinimalRoot> {
  if (process.getuid?.() !== 0)
    throw new Error("cannot make a minimal Debian root: debootstrap and chroot need root; run the long tests as root");
  const original = await makeOriginal();
  const folder = await temporaryDirectory("qh-root");
  const path = folder.join("root");
  await must(["cp", "-a", original, path], folder.path, COPY_WITHIN_MS);
  // Process 1 of the namespace: when it is killed, the kernel kills everything inside.
  const unshare = ["unshare", "--mount", "--pid", "--fork", `--mount-proc=${path}/proc`, "chroot", path];
  const program = await startProgram([...unshare, "sleep", "infinity"], {
    env: testEnvironment("/"),
    cwd: "/",
    logFile: folder.join("namespace.log"),
  });
  const first = await until(() => childOf(program.identity.pid), 10_000, "the first process of the minimal root");
  await until(() => existsSync(`/proc/${first.pid}/root/proc/1`), 10_000, "/proc of the minimal root");
  return {
    path,
    enter: ["nsenter", "--target", String(first.pid), "--mount", "--pid", "--root", "--wd"],
    [Symbol.asyncDispose]: async () => {
      signalProcess(first, "SIGKILL");
      await program.ended();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Made beside its place and renamed, so that an interrupted run leaves no half of it. */
async function makeOriginal(): Promise<string> {
  const original = join(CACHE, `debian-${SUITE}-${process.arch}`);
  if (existsSync(original)) return original;
  const partial = `${original}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  await must(["debootstrap", "--variant=minbase", SUITE, partial], CACHE, MAKE_WITHIN_MS);
  renameSync(partial, original);
  return original;
}

/** Runs a command outside, with the surroundings of whoever runs the tests (a proxy for the package archive, say). */
async function must(argv: readonly string[], cwd: string, withinMs: number): Promise<void> {
  const env = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const result = await runCommand(argv, { env, cwd, withinMs });
  if (result.exitCode !== 0)
    throw new Error(`cannot run ${argv.join(" ")}: ${result.signal ?? result.exitCode}\n${result.stdout}${result.stderr}`);
}

function childOf(pid: number): ProcessIdentity | null {
  const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
  const identity = Number.isInteger(child) && child > 0 ? readProcessIdentity(child) : null;
  // Between fork and exec the child still looks like its parent.
  return identity !== null && readFileSync(`/proc/${child}/comm`, "utf8").trim() === "sleep" ? identity : null;
}
