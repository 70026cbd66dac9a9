import { readdirSync, readFileSync, statSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { resolveHiveSettings } from "../../apps/hive/src/config.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** One import statement of a source file: `to` is a path in the repository, or a package name. */
interface Import {
  readonly from: string;
  readonly to: string;
  readonly isOurs: boolean;
}

const sources = ["packages", "apps"].flatMap((folder) => filesBelow(join(root, folder))).map((path) => relative(root, path));
const product = sources.filter((path) => path.includes("/src/") && !path.endsWith(".test.ts"));
const imports = product.flatMap((path) => importsOf(path));

describe("the arrows run one way", () => {
  it("finds the product's sources and their imports at all", () => {
    expect(product.length).toBeGreaterThan(60);
    expect(imports.filter((arrow) => arrow.isOurs).length).toBeGreaterThan(100);
    expect(imports.some((arrow) => arrow.to === "express")).toBe(true);
  });

  it("lets protocol import ajv and nothing else", () => {
    const libraries = new Set(leaving("packages/protocol").map((arrow) => arrow.to));
    libraries.delete("json-schema-to-ts"); // types only
    expect([...libraries]).toEqual(["ajv"]);
  });

  it("lets daemon import protocol and libraries, never an app or the test tools", () => {
    const ours = leaving("packages/daemon").filter((arrow) => arrow.to.startsWith("@queen-and-hive/"));
    expect(new Set(ours.map((arrow) => arrow.to))).toEqual(new Set(["@queen-and-hive/protocol"]));
  });

  it("keeps the apps apart and the test tools out of them", () => {
    const allowed = /^@queen-and-hive\/(protocol|daemon)(\/|$)/;
    const wrong = imports.filter(
      (arrow) => arrow.from.startsWith("apps/") && arrow.to.startsWith("@queen-and-hive/") && !allowed.test(arrow.to),
    );
    const across = imports.filter(
      (arrow) => arrow.isOurs && arrow.from.startsWith("apps/") && !arrow.to.startsWith(appOf(arrow.from)),
    );
    expect([...wrong, ...across]).toEqual([]);
  });

  it("takes nothing from the folders that build, test and start it", () => {
    const wrong = imports.filter((arrow) => arrow.isOurs && !/^(packages|apps)\//.test(arrow.to));
    expect(wrong).toEqual([]);
  });

  it("keeps domain pure: protocol and its own files only, no node:, no library", () => {
    const wrong = imports.filter(
      (arrow) =>
        arrow.from.includes("/domain/") &&
        !(arrow.isOurs && arrow.to.includes("/domain/")) &&
        arrow.to !== "@queen-and-hive/protocol",
    );
    expect(wrong).toEqual([]);
  });

  it("keeps time and chance out of domain", () => {
    const impure = product
      .filter((path) => path.includes("/domain/"))
      .filter((path) => /\bDate\.now\(|new Date\(\)|Math\.random\(|performance\.now\(|crypto\./.test(read(path)));
    expect(impure).toEqual([]);
  });

  it("imports nothing from a composition or a main", () => {
    const wrong = imports.filter(
      (arrow) =>
        arrow.isOurs &&
        (/^apps\/[a-z]+\/src\/main\.ts$/.test(arrow.to) ||
          (/^apps\/(hive|queen)\/src\/(hive|queen)\.ts$/.test(arrow.to) && !/\/(cli\/|main\.ts)/.test(arrow.from))),
    );
    expect(wrong).toEqual([]);
  });
});

describe("every library has one user", () => {
  const homes: Readonly<Record<string, readonly string[]>> = {
    ajv: ["packages/protocol/src"],
    axios: ["packages/daemon/src/http"],
    express: ["packages/daemon/src/http"],
    "eventsource-parser": ["packages/daemon/src/http", "apps/queen/src/cli"],
    winston: ["packages/daemon/src"],
    "prom-client": ["packages/daemon/src"],
    yaml: ["packages/daemon/src/config", "packages/dev-env/src"],
    undici: ["apps/queen/src/gateway"],
    pidusage: ["apps/hive/src/process"],
    "node-llama-cpp": ["apps/worker/src/engine"],
    "node-ssh": ["apps/queen/src/hosts"],
    ssh2: ["apps/queen/src/hosts", "packages/dev-env/src/ssh"],
    "node:sqlite": ["apps/queen/src/store"],
  };

  it.each(Object.entries(homes))("%s", (library, allowed) => {
    const users = imports.filter((arrow) => arrow.to === library).map((arrow) => arrow.from);
    expect(users.length).toBeGreaterThan(0);
    expect(users.filter((from) => !allowed.some((home) => from.startsWith(`${home}/`)))).toEqual([]);
  });

  it("and no process is started or spoken to by node:child_process in the product's adapters where execa is used", () => {
    const users = imports.filter((arrow) => arrow.to === "node:child_process").map((arrow) => arrow.from);
    expect(users.filter((from) => from.startsWith("packages/protocol") || from.includes("/domain/"))).toEqual([]);
  });
});

describe("the house rules", () => {
  it("has no dumping grounds", () => {
    const names = product.filter((path) => /(^|\/)(utils|helpers|types|common|misc)(\.ts|\/)/.test(path));
    expect(names.filter((path) => !path.startsWith("packages/protocol/src/"))).toEqual([]);
  });

  it("keeps every product file under 300 lines", () => {
    const long = product
      .map((path) => `${read(path).split("\n").length - 1} ${path}`)
      .filter((line) => Number.parseInt(line, 10) > 300);
    expect(long).toEqual([]);
  });

  it("has no setting of the hive that nothing reads", () => {
    const settings = resolveHiveSettings({}, { homeDir: "/home/me", baseDir: "/" });
    const readers = product.filter((path) => path.startsWith("apps/hive/") && path !== "apps/hive/src/config.ts");
    const text = readers.map((path) => readFileSync(join(root, path), "utf8")).join("\n");
    const names = namesIn(settings);
    expect(names).toEqual(expect.arrayContaining(["hiveId", "outboxEntries"]));
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });

  it("never uses the global fetch, which has a sixth of a pool's throughput and limits of its own", () => {
    const users = product.filter((path) => !path.startsWith("packages/dev-env/") && /(^|[^.\w"`])fetch\(/m.test(read(path)));
    expect(users).toEqual([]);
  });

  it("reads the environment in the configuration loaders and mains only", () => {
    const users = product.filter((path) => /process\.env\b/.test(read(path)) && !path.startsWith("packages/dev-env/"));
    expect(users.filter((path) => !/\/(config|cli)(\/|[a-z-]*\.ts)|\/main\.ts$|config[a-z-]*\.ts$/.test(path))).toEqual([]);
  });
});

function leaving(folder: string): readonly Import[] {
  return imports.filter(
    (arrow) => arrow.from.startsWith(folder) && !(arrow.isOurs && arrow.to.startsWith(folder)) && !isBuiltin(arrow.to),
  );
}

function isBuiltin(name: string): boolean {
  return name.startsWith("node:") || builtinModules.includes(name);
}

function appOf(path: string): string {
  return path.split("/").slice(0, 2).join("/");
}

function importsOf(from: string): readonly Import[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*["']([^"']+)["']|\bimport\(\s*(?:import\.meta\.resolve\(\s*)?["']([^"']+)["']\s*\)|(?:^|\n)import\s*["']([^"']+)["']/g;
  return [...read(from).matchAll(pattern)].map((match) => {
    const target = match[1] ?? match[2] ?? match[3] ?? "";
    if (!target.startsWith(".")) return { from, to: target, isOurs: false };
    return { from, to: relative(root, resolve(root, dirname(from), target)), isOurs: true };
  });
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder).flatMap((name) => {
    if (name === "node_modules" || name === "dist") return [];
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : path.endsWith(".ts") ? [path] : [];
  });
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The names of everything in an object that is no object itself. */
function namesIn(settings: object): readonly string[] {
  return Object.entries(settings).flatMap(([name, part]) =>
    typeof part === "object" && part !== null && Object.keys(part).length > 0 ? namesIn(part) : [name],
  );
}
