// Builds dist/hive-linux-<arch>: the hive as one executable file (a single executable application of the pinned Node)
// that needs nothing on its target but a Linux with glibc. Works offline once the dependencies are installed. Then builds
// the worker's bundle, where its script is there.
//
// Node's documentation of the format: https://nodejs.org/docs/latest-v24.x/api/single-executable-applications.html
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const arch = process.arch;
const output = join(root, "dist", `hive-linux-${arch}`);
const node = join(root, "node_modules", `node-linux-${arch}`, "bin", "node");
// The place in Node's executable that says whether something was injected; the same for all versions.
const SENTINEL_FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

const scratch = mkdtempSync(join(tmpdir(), "build-hive-"));
try {
  requireTools();
  const build = step("reading the version", describeBuild);
  const bundle = await step("bundling apps/hive", () => bundleHive(build));
  const blob = step("preparing the blob with its code cache", () => makeBlob(bundle));
  const executable = step("injecting it into a stripped copy of Node", () => makeExecutable(blob));
  step("trying it", () => tryVersion(executable, build));
  publish(executable, build);
  buildWorkerBundle();
} catch (error) {
  console.error(`build-hive: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function requireTools() {
  if (process.platform !== "linux") throw new Error(`cannot build here: this is ${process.platform}, and a hive runs on Linux.`);
  if (!existsSync(node)) {
    throw new Error(`cannot find the pinned Node at ${node}; run \`npm run setup\` on a machine of this architecture (${arch}).`);
  }
  if (spawnSync("strip", ["--version"]).error !== undefined) {
    throw new Error("cannot find `strip`; install binutils (Debian: apt-get install binutils).");
  }
}

/** What the executable says about itself. */
function describeBuild() {
  const { version } = JSON.parse(readFileSync(join(root, "apps", "hive", "package.json"), "utf8"));
  const head = git("rev-parse", "HEAD");
  if (head === null) {
    note("this is no git checkout: the commit is given as `unknown`");
    return { version, commit: "unknown" };
  }
  const changes = git("status", "--porcelain", "--untracked-files=no");
  if (changes === "") return { version, commit: head };
  note("the working tree has changes that are not committed: the commit is marked `-dirty`");
  return { version, commit: `${head}-dirty` };
}

async function bundleHive(build) {
  const { rolldown } = await import("rolldown");
  const bundle = join(scratch, "hive.cjs");
  const bundler = await rolldown({
    input: join(root, "apps", "hive", "src", "main.ts"),
    platform: "node",
    tsconfig: false,
    plugins: [lazyBuiltins()],
    transform: { define: { HIVE_BUILD_COMMIT: JSON.stringify(build.commit) } },
    onLog: (level, log, handle) => {
      if (level === "warn") console.error(`  ${log.message}`);
      else handle(level, log);
    },
  });
  // One CommonJS file, for Node runs no other main in a single executable. Dynamic imports of our own commands become
  // functions that run when they are first needed; imports of files that are only known at run time stay imports.
  // Names stay, so that a stack trace can be read; spaces go, since the file is read whole at each start.
  const minify = { compress: false, mangle: false, codegen: { removeWhitespace: true } };
  await bundler.write({ file: bundle, format: "cjs", codeSplitting: false, minify });
  await bundler.close();
  return bundle;
}

/**
 * Makes Node's own modules load when a module that uses them runs, not all of them at the top of the bundle: without it
 * `hive --version` pays for http, tls and crypto, a third of its time.
 */
function lazyBuiltins() {
  const prefix = "\0builtin:";
  return {
    name: "lazy-builtins",
    resolveId: (id) => (isBuiltin(id) && id !== "node:sea" ? { id: `${prefix}${id}`, moduleSideEffects: false } : null),
    load: (id) =>
      id.startsWith(prefix) ? `module.exports = process.getBuiltinModule(${JSON.stringify(id.slice(prefix.length))});` : null,
  };
}

function makeBlob(bundle) {
  const blob = join(scratch, "hive.blob");
  const config = join(scratch, "sea.json");
  writeFileSync(
    config,
    JSON.stringify({
      main: bundle,
      output: blob,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
    }),
  );
  run(node, ["--experimental-sea-config", config]);
  return blob;
}

function makeExecutable(blob) {
  const executable = join(scratch, "hive");
  copyFileSync(node, executable);
  chmodSync(executable, 0o755);
  run("strip", [executable]);
  const postject = join(root, "node_modules", "postject", "dist", "cli.js");
  run(process.execPath, [postject, executable, "NODE_SEA_BLOB", blob, "--sentinel-fuse", SENTINEL_FUSE]);
  return executable;
}

function tryVersion(executable, build) {
  const said = run(executable, ["--version"]);
  if (said.includes(build.version) && said.includes(build.commit.slice(0, 7))) return;
  throw new Error(
    `cannot use what was built: \`hive --version\` says ${JSON.stringify(said)}, not ${build.version} and the commit.`,
  );
}

/** Beside its final place first, then a rename: nobody ever runs half a file. */
function publish(executable, build) {
  mkdirSync(join(root, "dist"), { recursive: true });
  copyFileSync(executable, `${output}.new`);
  chmodSync(`${output}.new`, 0o755);
  renameSync(`${output}.new`, output);
  const megabytes = (statSync(output).size / 1e6).toFixed(1);
  const sha256 = createHash("sha256").update(readFileSync(output)).digest("hex");
  console.log(
    `build-hive: dist/hive-linux-${arch} ${build.version} (${build.commit.slice(0, 12)}), ${megabytes} MB, sha256 ${sha256}`,
  );
}

function buildWorkerBundle() {
  const script = join(root, "scripts", "build-worker-bundle.mjs");
  if (!existsSync(script)) return;
  console.log("build-hive: building the bundle of the embedded worker");
  const result = spawnSync(process.execPath, [script], { cwd: root, stdio: "inherit" });
  if (result.status !== 0)
    throw new Error(`cannot build the worker's bundle: ${script} ended with ${result.status ?? result.signal}.`);
}

function step(title, work) {
  const started = performance.now();
  const done = (value) => {
    console.log(`build-hive: ${title} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    return value;
  };
  const value = work();
  return value instanceof Promise ? value.then(done) : done(value);
}

function note(text) {
  console.log(`build-hive: note: ${text}`);
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (result.status === 0) return result.stdout;
  const why = result.error?.message ?? `${result.stdout}${result.stderr}`.trim();
  throw new Error(`cannot run ${command} ${args.join(" ")} (${result.status ?? result.signal ?? "not started"}): ${why}`);
}

function git(...args) {
  const result = spawnSync("git", args, { cwd: root, encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : null;
}
