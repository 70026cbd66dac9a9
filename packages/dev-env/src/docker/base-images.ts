import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { mustRun } from "../processes/must-run.ts";
import { runCommand } from "../processes/run-command.ts";
import { callersEnvironment, REPOSITORY } from "../processes/surroundings.ts";
import { makeDebianRoot } from "./debian-root.ts";
import type { Engine } from "./engine.ts";

/** The build arguments of our Dockerfiles that name what they begin with. */
export interface BaseImages extends AsyncDisposable {
  readonly description: string;
  readonly args: Readonly<{ NODE_IMAGE: string; BASE_IMAGE: string }>;
}

const PULL_WITHIN_MS = 180_000;
const MAKE_WITHIN_MS = 300_000;
const OFFICIAL = { NODE_IMAGE: "node:24-bookworm-slim", BASE_IMAGE: "debian:bookworm-slim" } as const;

/**
 * The official images where the engine has them or can pull them; else stand-ins: a minimal Debian of debootstrap, and the same with the
 * pinned Node, npm and this machine's settings of npm. The scope's end removes the stand-ins.
 */
export async function baseImages(engine: Engine): Promise<BaseImages> {
  if ((await obtain(engine, OFFICIAL.BASE_IMAGE)) && (await obtain(engine, OFFICIAL.NODE_IMAGE))) {
    const description = Object.values(OFFICIAL).join(" and ");
    return { description, args: OFFICIAL, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const tag = `stand-in-${process.pid}`;
  const args = { NODE_IMAGE: `queen-and-hive-build-base:${tag}`, BASE_IMAGE: `queen-and-hive-base:${tag}` };
  await using folder = await temporaryDirectory("qh-images");
  const archive = folder.join("root.tar");
  await mustRun(["tar", "-C", await makeDebianRoot(), "-cf", archive, "."], { withinMs: MAKE_WITHIN_MS });
  await mustRun(["docker", "import", archive, args.BASE_IMAGE], { env: engine.env, withinMs: MAKE_WITHIN_MS });
  const context = folder.join("node");
  await fillContext(context, args.BASE_IMAGE);
  await mustRun(["docker", "build", ...proxyArgs(engine), "--tag", args.NODE_IMAGE, context], {
    env: engine.env,
    withinMs: MAKE_WITHIN_MS,
  });
  return {
    description: "stand-ins by debootstrap, since the official images cannot be pulled here",
    args,
    [Symbol.asyncDispose]: async () => {
      await mustRun(["docker", "image", "rm", "--force", args.NODE_IMAGE, args.BASE_IMAGE], {
        env: engine.env,
        withinMs: MAKE_WITHIN_MS,
      });
    },
  };
}

/** What passes this machine's proxies on to a build; none of it stays in an image (Docker's predefined build arguments). */
export function proxyArgs({ env }: Engine): readonly string[] {
  const names = ["http_proxy", "https_proxy", "no_proxy"].flatMap((name) => [name, name.toUpperCase()]);
  return names.filter((name) => env[name] !== undefined).flatMap((name) => ["--build-arg", name]);
}

/** True when the engine has the image now. */
async function obtain({ env }: Engine, image: string): Promise<boolean> {
  for (const argv of [
    ["docker", "image", "inspect", image],
    ["docker", "pull", "--quiet", image],
  ]) {
    const result = await runCommand(argv, { env, cwd: "/", withinMs: PULL_WITHIN_MS });
    if (result.exitCode === 0) return true;
  }
  return false;
}

/** What stands in for Node's image: the pinned Node, and npm as it is set up on this machine. */
async function fillContext(context: string, base: string): Promise<void> {
  mkdirSync(context);
  cpSync(join(REPOSITORY, "node_modules", `node-linux-${process.arch}`, "bin", "node"), join(context, "node"), {
    dereference: true,
  });
  const { stdout: modules } = await mustRun(["npm", "root", "--global"], { withinMs: MAKE_WITHIN_MS });
  cpSync(join(modules.trim(), "npm"), join(context, "npm"), { recursive: true, dereference: true });
  const { stdout: registry } = await mustRun(["npm", "config", "get", "registry"], { withinMs: MAKE_WITHIN_MS });
  const own = join(homedir(), ".npmrc");
  const settings = existsSync(own) ? readFileSync(own, "utf8") : "";
  writeFileSync(join(context, "npmrc"), `${settings}\nregistry=${registry.trim()}\n`);
  const authorities = callersEnvironment()["NODE_EXTRA_CA_CERTS"];
  writeFileSync(join(context, "authorities.crt"), authorities === undefined ? "" : readFileSync(authorities));
  writeFileSync(
    join(context, "Dockerfile"),
    `FROM ${base}
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY npmrc /root/.npmrc
COPY authorities.crt /etc/ssl/authorities.crt
RUN ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
${authorities === undefined ? "" : "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/authorities.crt"}
`,
  );
}
