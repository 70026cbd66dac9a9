import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, lstat, lutimes, mkdir, readdir, readFile, readlink, symlink, utimes, writeFile } from "node:fs/promises";
import { readProcessIdentity } from "@queen-and-hive/daemon";
import { type TemporaryDirectory, temporaryDirectory } from "@queen-and-hive/dev-env";
import { QhError } from "@queen-and-hive/protocol";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import type { Argv, Host } from "../hosts/host.ts";
import { createLocalHost } from "../hosts/local-host.ts";
import { uploadFile } from "../hosts/upload-file.ts";
import { carryOut, goBack, type InstallOptions, planFor, prove } from "./install-hive.ts";

const ARCH = process.arch;

/** A folder of executables and one to install into. */
interface Ground extends AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly installDir: string;
  options(more?: Partial<InstallOptions>): InstallOptions;
  /** Builds a version; its text decides its SHA-256, which is returned. */
  build(text: string): Promise<string>;
}

async function ground(): Promise<Ground> {
  const directory = await temporaryDirectory("qh-install");
  const installDir = directory.join("share", "my hive");
  await mkdir(directory.join("dist"));
  return {
    directory,
    installDir,
    options: (more = {}) => ({
      host: createLocalHost(),
      hive: { id: "gpu1", installDir, stateDir: directory.join("state") },
      limits: { from: directory.join("dist"), uploadMs: 30_000, keep: 3 },
      commandMs: 20_000,
      withWorker: false,
      refused: new Set(),
      onProgress: () => undefined,
      ...more,
    }),
    build: async (text) => {
      const script = `#!/bin/sh\n${text}\n`;
      await writeFile(directory.join("dist", `hive-linux-${ARCH}`), script);
      return createHash("sha256").update(script).digest("hex");
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

const AS_NOBODY: Argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const GOOD = (version: string): string => `[ "$1" = --version ] && echo 'hive ${version}' || sleep "$2"`;

async function install(options: InstallOptions) {
  return await carryOut(await planFor(options), options);
}

function kindOf(error: unknown): string {
  return error instanceof QhError ? error.kind : String(error);
}

describe("installing the hive on a host", () => {
  it("uploads it once, switches `current` to it, and has nothing to do the second time", async () => {
    await using place = await ground();
    const sha256 = await place.build(GOOD("1.0.0"));
    const sent: number[] = [];
    const options = place.options({ onProgress: (_what, bytes, total) => sent.push(bytes / total) });
    expect((await planFor(options)).plan).toMatchObject({
      found: "nothing is installed",
      steps: [{ kind: "upload_hive" }, { kind: "adopt" }],
    });
    expect(await readdir(place.directory.path)).toEqual(["dist"]);
    expect(await install(options)).toEqual({ version: sha256, previous: null });
    expect(sent.at(-1)).toBe(1);
    expect(await readlink(`${place.installDir}/current`)).toBe(`versions/${sha256}`);
    expect((await execa(`${place.installDir}/current/hive`, ["--version"])).stdout).toBe("hive 1.0.0");
    expect((await planFor(options)).plan.steps).toEqual([]);
    expect(await install(options)).toEqual({ version: sha256, previous: null });
    await prove(place.installDir, sha256, options);
    expect(await install(options)).toBeNull();
  });

  it("keeps three versions, and each from which a process runs", async () => {
    await using place = await ground();
    const first = await place.build(GOOD("1.0.0"));
    await install(place.options());
    // A script runs as its shell: a real executable is needed to be seen as running from its version.
    await writeFile(`${place.installDir}/versions/${first}/sleep`, await readFile("/usr/bin/sleep"), { mode: 0o755 });
    const running = execa(`${place.installDir}/versions/${first}/sleep`, ["60"], { reject: false });
    const built = [first];
    for (const version of ["1.0.1", "1.0.2", "1.0.3", "1.0.4"]) {
      built.push(await place.build(GOOD(version)));
      await install(place.options());
    }
    const kept = await readdir(`${place.installDir}/versions`);
    running.kill("SIGKILL");
    await running;
    expect(kept.sort()).toEqual([first, ...built.slice(2)].sort());
    await place.build(GOOD("1.0.5"));
    await install(place.options());
    expect(await readdir(`${place.installDir}/versions`)).toHaveLength(3);
  }, 60_000);

  it("keeps a version from which a process runs where a link leads to the home directory", async () => {
    await using place = await ground();
    await mkdir(place.directory.join("disk"));
    await symlink(place.directory.join("disk"), place.directory.join("share"));
    const first = await place.build(GOOD("1.0.0"));
    await install(place.options());
    await writeFile(`${place.installDir}/versions/${first}/sleep`, await readFile("/usr/bin/sleep"), { mode: 0o755 });
    const running = execa(`${place.installDir}/versions/${first}/sleep`, ["60"], { reject: false });
    const limits = { from: place.directory.join("dist"), uploadMs: 30_000, keep: 1 };
    for (const version of ["1.0.1", "1.0.2"]) {
      const sha256 = await place.build(GOOD(version));
      await install(place.options({ limits }));
      await prove(place.installDir, sha256, place.options());
    }
    const kept = await readdir(`${place.installDir}/versions`);
    running.kill("SIGKILL");
    await running;
    expect(kept).toContain(first);
  }, 60_000);

  it("takes no file for the version that was planned when another was built meanwhile", async () => {
    await using place = await ground();
    await place.build(GOOD("1.0.0"));
    const planned = await planFor(place.options());
    await place.build(GOOD("1.0.1"));
    const failure = await carryOut(planned, place.options()).catch((error: unknown) => error);
    expect(kindOf(failure)).toBe("upload_failed");
    expect(String(failure)).toContain("replaced here meanwhile");
    expect(await lstat(place.installDir).catch(() => null)).toBeNull();
    await install(place.options());
    expect((await execa(`${place.installDir}/current/hive`, ["--version"])).stdout).toBe("hive 1.0.1");
  });

  it("removes what killed installations have left, but nothing young and nothing that is still written", async () => {
    await using place = await ground();
    const first = await place.build(GOOD("1.0.0"));
    await install(place.options());
    const version = `${place.installDir}/versions/${first}`;
    const ended = execa("true");
    await ended;
    const old = new Date(Date.now() - 86_400_000);
    const leave = async (file: string): Promise<void> => {
      await writeFile(file, "half");
      await utimes(file, old, old);
    };
    await leave(`${version}/.hive.upload-${ended.pid ?? 0}`);
    await leave(`${version}/.hive.upload-${process.pid}`);
    await leave(`${version}/.hive-worker-${first}.tar.gz`);
    await mkdir(`${version}/.hive-worker.0a0a0a0a`);
    await leave(`${version}/.hive-worker.0a0a0a0a/main.mjs`);
    await utimes(`${version}/.hive-worker.0a0a0a0a`, old, old);
    await mkdir(`${version}/.hive-worker.0b0b0b0b`);
    await symlink("versions/none", `${place.installDir}/.current.0a0a0a0a`);
    await lutimes(`${place.installDir}/.current.0a0a0a0a`, old, old);
    await symlink("versions/none", `${place.installDir}/.current.0b0b0b0b`);
    await place.build(GOOD("1.0.1"));
    await install(place.options());
    const left = [".hive-worker.0b0b0b0b", `.hive.upload-${process.pid}`, ".trial", "hive"];
    expect((await readdir(version)).sort()).toEqual(left.sort());
    expect((await readdir(place.installDir)).sort()).toEqual([".current.0b0b0b0b", "current", "versions"]);
  });

  it("puts the worker's bundle back when the new one cannot take its place", async () => {
    await using place = await ground();
    const sha256 = await place.build(GOOD("1.0.0"));
    await mkdir(place.directory.join("pack", "hive-worker"), { recursive: true });
    const pack = async (text: string): Promise<void> => {
      await writeFile(place.directory.join("pack", "hive-worker", "main.mjs"), text);
      const archive = place.directory.join("dist", `hive-worker-linux-${ARCH}.tar.gz`);
      await execa("tar", ["-czf", archive, "-C", place.directory.join("pack"), "hive-worker"]);
    };
    await pack("first");
    await install(place.options({ withWorker: true }));
    await pack("second");
    // Moves everything but a fresh bundle.
    const moves = '#!/bin/sh\ncase "$3" in */.hive-worker.*/hive-worker) exit 1 ;; esac\nexec /usr/bin/mv "$@"\n';
    await mkdir(place.directory.join("bin"));
    await writeFile(place.directory.join("bin", "mv"), moves, { mode: 0o755 });
    const host = createLocalHost();
    const path = `PATH=${place.directory.join("bin")}:/usr/bin:/bin`;
    const stuck: Host = { ...host, exec: (argv, how) => host.exec(["env", path, ...argv], how) };
    const failure = await install(place.options({ withWorker: true, host: stuck })).catch((error: unknown) => error);
    expect(String(failure)).toContain("cannot be put in its place");
    const version = `${place.installDir}/versions/${sha256}`;
    expect(await readFile(`${version}/hive-worker/main.mjs`, "utf8")).toBe("first");
    expect((await readdir(version)).sort()).toEqual([".trial", "hive", "hive-worker"]);
  });

  it("goes back to the version from before, and does not try again one that was refused", async () => {
    await using place = await ground();
    const first = await place.build(GOOD("1.0.0"));
    await install(place.options());
    const second = await place.build(GOOD("1.0.1"));
    await prove(place.installDir, first, place.options());
    const trial = await install(place.options());
    expect(trial).toEqual({ version: second, previous: `versions/${first}` });
    await goBack(place.installDir, trial?.previous ?? "", place.options());
    expect(await readlink(`${place.installDir}/current`)).toBe(`versions/${first}`);
    expect((await planFor(place.options({ refused: new Set([second]) }))).plan).toMatchObject({ steps: [], trial: null });
  });

  it("leaves a version on trial to whoever comes next, with the last one that has proven itself to go back to", async () => {
    await using place = await ground();
    const first = await place.build(GOOD("1.0.0"));
    await install(place.options());
    await prove(place.installDir, first, place.options());
    const second = await place.build(GOOD("1.0.1"));
    await install(place.options());
    const previous = `versions/${first}`;
    expect((await planFor(place.options())).plan).toMatchObject({ steps: [], trial: { version: second, previous } });
    const third = await place.build(GOOD("1.0.2"));
    expect(await install(place.options())).toEqual({ version: third, previous });
    const refused = { refused: new Set([third]) };
    expect((await planFor(place.options(refused))).plan.steps).toEqual([{ kind: "back", target: previous }]);
    expect(await install(place.options(refused))).toBeNull();
    expect(await readlink(`${place.installDir}/current`)).toBe(previous);
  });

  it("never takes a version that was refused for one that is in place", async () => {
    await using place = await ground();
    const only = await place.build(GOOD("1.0.0"));
    await install(place.options());
    const failure = await planFor(place.options({ refused: new Set([only]) })).catch((error: unknown) => error);
    expect(kindOf(failure)).toBe("install_failed");
    expect(String(failure)).toContain("does not work there, and there is none to go back to");
  });

  it("leaves nothing of a version that does not run there", async () => {
    await using place = await ground();
    const first = await place.build(GOOD("1.0.0"));
    await install(place.options());
    await place.build("echo 'libatomic.so.1: cannot open shared object file' >&2; exit 127");
    const failure = await install(place.options()).catch((error: unknown) => error);
    expect(kindOf(failure)).toBe("install_failed");
    expect(String(failure)).toContain("libatomic.so.1");
    expect(await readlink(`${place.installDir}/current`)).toBe(`versions/${first}`);
    expect(await readdir(`${place.installDir}/versions`)).toEqual([first]);
    expect((await readdir(place.installDir)).sort()).toEqual(["current", "versions"]);
  });

  it("leaves nothing of an upload that was cut", async () => {
    await using place = await ground();
    await place.build(GOOD("1.0.0"));
    const host = createLocalHost();
    const cut: Host = {
      ...host,
      upload: async (_source, target, options) => {
        const ending = new AbortController();
        const large = place.directory.join("large");
        await writeFile(large, randomBytes(50_000_000));
        const sent = host.upload({ file: large }, target, {
          ...options,
          signal: ending.signal,
          // The host has made its directories by then.
          onProgress: () => {
            if (existsSync(place.installDir)) ending.abort(new QhError("host_unreachable", "cannot go on: the link was cut"));
          },
        });
        await sent;
      },
    };
    const failure = await install(place.options({ host: cut })).catch((error: unknown) => error);
    expect(kindOf(failure)).toBe("host_unreachable");
    expect(await lstat(place.installDir).catch(() => null)).toBeNull();
    await install(place.options());
    expect((await planFor(place.options())).plan.steps).toEqual([]);
  });

  it("leaves nothing of an upload that the disk did not take", async () => {
    await using place = await ground();
    const large = place.directory.join("dist", `hive-linux-${ARCH}`);
    await writeFile(large, randomBytes(5_000_000));
    const host = createLocalHost();
    // A file of the host cannot grow beyond this: its writes fail half-way, as on a disk that is full.
    const limited: Host = {
      ...host,
      upload: (source, target, options) =>
        uploadFile((argv, how) => host.exec(["prlimit", "--fsize=1000000", ...argv], how), source, target, options),
    };
    const failure = await install(place.options({ host: limited })).catch((error: unknown) => error);
    expect(kindOf(failure)).toBe("upload_failed");
    expect(String(failure)).toContain("look at the space");
    expect(await lstat(place.installDir).catch(() => null)).toBeNull();
  });

  it("refuses a home without write access before anything is sent", async () => {
    await using place = await ground();
    await place.build(GOOD("1.0.0"));
    await mkdir(place.installDir, { recursive: true });
    await chmod(place.directory.path, 0o755);
    await chmod(place.installDir, 0o555);
    const host = createLocalHost();
    // Root may write everywhere: then the host is entered as nobody.
    const nobody: Host = { ...host, exec: (argv, how) => host.exec([...AS_NOBODY, ...argv], how) };
    const failure = await install(place.options({ host: process.getuid?.() === 0 ? nobody : host })).catch(
      (error: unknown) => error,
    );
    expect(kindOf(failure)).toBe("install_failed");
    expect(String(failure)).toContain("cannot be written to");
    expect(await readdir(place.installDir)).toEqual([]);
  });

  it("refuses another program in its place, uses a hive that somebody else installed, and touches neither", async () => {
    await using place = await ground();
    await place.build(GOOD("1.0.0"));
    const current = `${place.installDir}/current`;
    await mkdir(current, { recursive: true });
    await writeFile(`${current}/hive`, "#!/bin/sh\necho 'Apache Hive 4.0'\n", { mode: 0o755 });
    const failure = await planFor(place.options()).catch((error: unknown) => error);
    expect(kindOf(failure)).toBe("install_failed");
    expect(String(failure)).toContain("Apache Hive 4.0");
    await writeFile(`${current}/hive`, "#!/bin/sh\necho 'hive 0.9.0'\n");
    const { plan } = await planFor(place.options());
    expect(plan).toMatchObject({ found: expect.stringContaining("hive 0.9.0"), steps: [] });
    expect(await readdir(place.installDir)).toEqual(["current"]);
  });

  it("says how to build what is not there, unless something is installed already", async () => {
    await using place = await ground();
    const failure = await planFor(place.options()).catch((error: unknown) => error);
    expect(kindOf(failure)).toBe("hive_not_installed");
    expect(String(failure)).toContain("npm run build:hive");
    await place.build(GOOD("1.0.0"));
    await install(place.options());
    const elsewhere = { from: place.directory.join("empty"), uploadMs: 1_000, keep: 3 };
    expect((await planFor(place.options({ limits: elsewhere }))).plan.steps).toEqual([]);
  });

  it("leaves a daemon that runs with the version that it runs from", async () => {
    await using place = await ground();
    await place.build(GOOD("1.0.0"));
    await install(place.options());
    await place.build(GOOD("1.0.1"));
    await mkdir(place.directory.join("state"));
    const identity = readProcessIdentity(process.pid);
    await writeFile(place.directory.join("state", "identity.json"), JSON.stringify({ hive_id: "gpu1", ...identity }, null, 2));
    expect((await planFor(place.options())).plan).toMatchObject({
      found: expect.stringContaining(`process ${process.pid}`),
      steps: [],
    });
    const gone = { hive_id: "gpu1", ...identity, start_time: 1 };
    await writeFile(place.directory.join("state", "identity.json"), JSON.stringify(gone, null, 2));
    expect((await planFor(place.options())).plan.steps).toHaveLength(2);
  });

  it("unpacks the worker's bundle beside the version, replaces an older one, and refuses a damaged one", async () => {
    await using place = await ground();
    const sha256 = await place.build(GOOD("1.0.0"));
    const archive = place.directory.join("dist", `hive-worker-linux-${ARCH}.tar.gz`);
    const worker = `${place.installDir}/versions/${sha256}/hive-worker`;
    const pack = async (text: string): Promise<void> => {
      await mkdir(place.directory.join("pack", "hive-worker"), { recursive: true });
      await writeFile(place.directory.join("pack", "hive-worker", "main.mjs"), text);
      await execa("tar", ["-czf", archive, "-C", place.directory.join("pack"), "hive-worker"]);
    };
    await pack("first");
    await install(place.options({ withWorker: true }));
    expect(await readFile(`${worker}/main.mjs`, "utf8")).toBe("first");
    expect((await planFor(place.options({ withWorker: true }))).plan.steps).toEqual([]);
    await pack("second");
    await install(place.options({ withWorker: true }));
    expect(await readFile(`${worker}/main.mjs`, "utf8")).toBe("second");
    await writeFile(archive, "no archive at all");
    const failure = await install(place.options({ withWorker: true })).catch((error: unknown) => error);
    expect(kindOf(failure)).toBe("install_failed");
    expect(await readFile(`${worker}/main.mjs`, "utf8")).toBe("second");
    expect((await readdir(`${place.installDir}/versions/${sha256}`)).sort()).toEqual([".trial", "hive", "hive-worker"]);
  });

  it("works for many at the same time", async () => {
    await using place = await ground();
    const sha256 = await place.build(GOOD("1.0.0"));
    await Promise.all(Array.from({ length: 6 }, () => install(place.options())));
    expect(await readlink(`${place.installDir}/current`)).toBe(`versions/${sha256}`);
    expect((await readdir(place.installDir)).sort()).toEqual(["current", "versions"]);
    expect((await readdir(`${place.installDir}/versions/${sha256}`)).sort()).toEqual([".trial", "hive"]);
  });

  it("mends a link to a version that is gone", async () => {
    await using place = await ground();
    await place.build(GOOD("1.0.0"));
    await mkdir(place.installDir, { recursive: true });
    await symlink(`versions/${"0".repeat(64)}`, `${place.installDir}/current`);
    expect((await planFor(place.options())).plan.found).toBe("what was installed is gone");
    await install(place.options());
    expect((await execa(`${place.installDir}/current/hive`, ["--version"])).stdout).toBe("hive 1.0.0");
  });
});

it("refuses a place that is full or cannot be written to before anything is sent", async () => {
  await using place = await ground();
  await place.build(GOOD("1.0.0"));
  await writeFile(place.directory.join("share"), "a file");
  const blocked = await planFor(place.options()).catch((error: unknown) => error);
  expect(kindOf(blocked)).toBe("install_failed");
  expect(String(blocked)).toContain("is no directory");
  const host = createLocalHost();
  const full: Host = {
    ...host,
    exec: async (argv, options) => {
      const end = await host.exec(argv, options);
      return { ...end, stdout: end.stdout.replace(/free_kib .*/, "free_kib 0").replace(/blocked .*/, "note none") };
    },
  };
  const failure = await planFor(place.options({ host: full })).catch((error: unknown) => error);
  expect(kindOf(failure)).toBe("install_failed");
  expect(String(failure)).toMatch(/are needed at .*, 0B are free/);
});
