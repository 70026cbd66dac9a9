// Builds dist/hive-worker-linux-x64.tar.gz: the embedded worker as a folder that runs under any Node of the pinned major,
// and under the single-file hive. `hive-worker/main.mjs` is our own code in one file; node-llama-cpp stays as it is in
// `hive-worker/node_modules`, because it loads a native binding and tests it in a process of its own, by file name.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const worker = join(root, "apps", "worker");
const target = `${process.platform}-${process.arch}`;
const dist = join(root, "dist");
const archive = join(dist, `hive-worker-${target}.tar.gz`);
// Built beside its final place and renamed at the end: a worker that is starting from the old one meets no half of it.
const scratch = join(dist, `.hive-worker-${process.pid}`);
const folder = join(scratch, "hive-worker");

// Used only to build llama.cpp from source and by the command line tool; the worker never does either.
const NEVER_LOADED = new Set(["cmake-js", "node-addon-api", "yargs", "validate-npm-package-name", "typescript"]);
// Types, maps, the sources of llama.cpp and project templates: 40 MB that no process reads.
const LEFT_OUT =
  /(\.d\.[cm]?ts|\.map|\.md|\.gypi?|gitRelease\.bundle)$|[/\\](templates|addon|cmake|patches|profiles|toolchains|xpack)$/;

mkdirSync(join(folder, "node_modules"), { recursive: true });
try {
  await bundleOwnCode();
  const packages = copyPackages();
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const description = { name: "hive-worker", version, type: "module", private: true };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(description, null, 2)}\n`);
  const packed = join(scratch, "archive.tar.gz");
  run("tar", ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-czf", packed, "-C", scratch, "hive-worker"]);
  renameSync(packed, archive);
  const unpacked = join(dist, "hive-worker");
  if (existsSync(unpacked)) renameSync(unpacked, join(scratch, "old"));
  renameSync(folder, unpacked);
  const place = relative(root, archive);
  console.log(`${place}: ${mebibytes(statSync(archive).size)}, unpacked ${mebibytes(sizeOf(unpacked))}, ${packages} packages`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function bundleOwnCode() {
  const bundle = await rolldown({
    input: join(worker, "src", "main.ts"),
    platform: "node",
    external: ["node-llama-cpp"],
    logLevel: "warn",
  });
  await bundle.write({ file: join(folder, "main.mjs"), format: "esm", codeSplitting: false, minify: false });
  await bundle.close();
}

/** Copies node-llama-cpp, everything that it needs at run time and its binding for this platform; returns how many packages. */
function copyPackages() {
  const library = packageFolder("node-llama-cpp", worker);
  const placed = new Map();
  place("node-llama-cpp", library, folder, placed);
  place(`@node-llama-cpp/${target}`, packageFolder(`@node-llama-cpp/${target}`, library), folder, placed);
  return placed.size;
}

/** Puts a package into the outermost node_modules where its name is free or already means the same version, then what it depends on. */
function place(name, source, dependent, placed) {
  const top = join(folder, "node_modules", name);
  const destination = !placed.has(top) || placed.get(top) === source ? top : join(dependent, "node_modules", name);
  if (placed.get(destination) === source) return;
  placed.set(destination, source);
  cpSync(source, destination, {
    recursive: true,
    dereference: true,
    filter: (path) => !path.slice(source.length).includes("node_modules") && !LEFT_OUT.test(path),
  });
  const { dependencies = {} } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  for (const dependency of Object.keys(dependencies)) {
    if (!NEVER_LOADED.has(dependency)) place(dependency, packageFolder(dependency, source), destination, placed);
  }
}

/** The real folder of a package as `from` sees it. */
function packageFolder(name, from) {
  for (const directory of createRequire(join(realpathSync(from), "package.json")).resolve.paths(name) ?? []) {
    const candidate = join(directory, name);
    if (existsSync(join(candidate, "package.json"))) return realpathSync(candidate);
  }
  throw new Error(`cannot find ${name} from ${from}: run \`npm run setup\` first`);
}

function run(command, args) {
  const result = spawnSync(command, args, { stdio: "inherit" });
  if (result.status === 0) return;
  throw new Error(`cannot run ${command} ${args.join(" ")}: ${result.error?.message ?? `exit code ${result.status}`}`);
}

function sizeOf(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

function mebibytes(bytes) {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
