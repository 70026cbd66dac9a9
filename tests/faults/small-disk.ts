import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { basename, join } from "node:path";

/** A file system of its own, which a test can fill to the last byte. The scope's end unmounts it. */
export interface SmallDisk extends Disposable {
  /** Its folder's name. */
  readonly name: string;
  readonly path: string;
  readonly isFull: boolean;
  /** Leaves not one block free, whatever is written and removed meanwhile. Throws when that cannot be had. */
  fill(): void;
  empty(): void;
}

const FILL_TRIES = 20;
const BLOCKS = [1_048_576, 4_096, 1].map((bytes) => Buffer.alloc(bytes));

/** Mounts one of so many MiB at a folder that is not there yet. Needs root, and throws without it. */
export function smallDisk(path: string, mebibytes: number): SmallDisk {
  mkdirSync(path);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", path], { stdio: ["ignore", "ignore", "pipe"] });
  const filler = join(path, "filler");
  let isFull = false;
  return {
    name: basename(path),
    path,
    get isFull() {
      return isFull;
    },
    fill: () => {
      isFull = true;
      for (let tries = 0; tries < FILL_TRIES; tries += 1) {
        fillOnce(filler);
        if (statfsSync(path).bavail === 0) return;
      }
      throw new Error(`cannot fill ${path}: ${statfsSync(path).bavail} blocks are free after ${FILL_TRIES} tries`);
    },
    empty: () => {
      rmSync(filler, { force: true });
      isFull = false;
    },
    [Symbol.dispose]: () => void execFileSync("umount", ["-l", path]),
  };
}

/** Whether this user may mount one: root may, outside of most containers. */
export function canMountSmallDisk(path: string): boolean {
  try {
    smallDisk(path, 1)[Symbol.dispose]();
    return true;
  } catch {
    return false;
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function fillOnce(filler: string): void {
  const file = openSync(filler, "a");
  try {
    for (const block of BLOCKS) fillWith(file, block);
  } finally {
    closeSync(file);
  }
}

function fillWith(file: number, block: Buffer): void {
  for (;;) {
    try {
      writeSync(file, block);
    } catch {
      return;
    }
  }
}
