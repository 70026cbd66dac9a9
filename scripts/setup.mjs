// Makes a fresh clone usable with nothing but Node 20 (or newer) and npm: installs the locked dependencies, among them
// the pinned Node itself. Does nothing, quickly, when that has been done for the present lock file.
// Runs under any Node from 20 on, so it uses no TypeScript and no dependency.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PNPM = "pnpm@12.21.0";
const root = fileURLToPath(new URL("..", import.meta.url));
const stampFile = join(root, "node_modules", ".setup-stamp");
// Run as a step before another program, it says only what that program's reader needs.
const quiet = !process.argv[1].endsWith("/setup.mjs");

const wanted = createHash("sha256")
  .update(PNPM)
  .update(readFileSync(join(root, "pnpm-lock.yaml")))
  .update(readFileSync(join(root, "pnpm-workspace.yaml")))
  .digest("hex");

if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === wanted) {
  if (!quiet) console.log("setup: everything is in place");
} else {
  console.log("setup: installing the locked dependencies (once; this takes about a minute on a cold cache)");
  install();
  requirePinnedNode();
  writeFileSync(stampFile, wanted);
  console.log("setup: done");
}

function install() {
  const args = ["-y", PNPM, "install", "--frozen-lockfile", "--reporter=append-only"];
  const result = spawnSync("npx", args, {
    cwd: root,
    stdio: quiet ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.status === 0) return;
  if (quiet) process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  const why = result.error === undefined ? `exit code ${result.status}` : result.error.message;
  console.error(`setup: cannot install the dependencies with "npx ${args.join(" ")}" (${why}).`);
  console.error("setup: check the network and the npm registry settings, then run `npm run setup` again.");
  process.exit(1);
}

function requirePinnedNode() {
  const pinned = spawnSync(join(root, "node_modules", ".bin", "node"), ["--version"], { encoding: "utf8" });
  const version = pinned.status === 0 ? pinned.stdout.trim() : process.version;
  const [major, minor] = version.slice(1).split(".").map(Number);
  if (major > 24 || (major === 24 && minor >= 12)) return;
  console.error(
    `setup: Node 24.12 or newer is needed and no pinned one exists for ${process.platform}-${process.arch}; this is ${version}.`,
  );
  console.error("setup: install Node 24 and run the command again.");
  process.exit(1);
}
