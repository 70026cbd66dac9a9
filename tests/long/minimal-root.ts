import { existsSync, readFileSync } from "node:fs";
import { type ProcessIdentity, readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { makeDebianRoot, mustRun, startProgram, temporaryDirectory, testEnvironment, until } from "@queen-and-hive/dev-env";

const COPY_WITHIN_MS = 120_000;

/** A Debian with nothing but its essential packages, in which commands run with a process table of their own. */
export interface MinimalRoot extends AsyncDisposable {
  /** The root directory, seen from outside. */
  readonly path: string;
  /** The words before a command that is to run inside. */
  readonly enter: readonly string[];
}

/** Copies a fresh root and opens it. Needs root and debootstrap. */
export async function openMinimalRoot(): Promise<MinimalRoot> {
  const original = await makeDebianRoot();
  const folder = await temporaryDirectory("qh-root");
  const path = folder.join("root");
  await mustRun(["cp", "-a", original, path], { withinMs: COPY_WITHIN_MS });
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

function childOf(pid: number): ProcessIdentity | null {
  const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
  const identity = Number.isInteger(child) && child > 0 ? readProcessIdentity(child) : null;
  // Between fork and exec the child still looks like its parent.
  return identity !== null && readFileSync(`/proc/${child}/comm`, "utf8").trim() === "sleep" ? identity : null;
}
