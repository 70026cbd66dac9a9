import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { Readable } from "node:stream";
import { Deadline } from "@queen-and-hive/daemon";
import { freePort, temporaryDirectory } from "@queen-and-hive/dev-env";
import { describe, expect, it } from "vitest";
import { createLocalHost } from "./local-host.ts";

const host = createLocalHost();
const soon = (): Deadline => Deadline.in(20_000);

describe("the local host's commands", () => {
  it("resolve with output and exit code, however they end", async () => {
    const end = await host.exec(["sh", "-c", "cat; echo no >&2; exit 3"], { deadline: soon(), input: "yes" });
    expect(end).toEqual({ stdout: "yes", stderr: "no\n", exitCode: 3 });
    expect((await host.exec(["sh", "-c", "kill -9 $$"], { deadline: soon() })).exitCode).toBeNull();
  });

  it("read a stream to its end", async () => {
    const end = await host.exec(["wc", "-c"], { deadline: soon(), input: Readable.from([Buffer.alloc(300_000)]) });
    expect(end.stdout.trim()).toBe("300000");
  });

  it("keep the last of a large output, which alone is trusted", async () => {
    const end = await host.exec(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo end"], { deadline: soon() });
    expect(end.exitCode).toBe(0);
    expect(end.stdout).toMatch(/^x+end\n$/);
    expect(end.stdout).toHaveLength(1_048_576);
  });

  it("that are scripts are named in messages, not shown", async () => {
    const script = host.exec(["sh", "-c", "sleep 60", "queen-nap"], { deadline: Deadline.in(100) });
    await expect(script).rejects.toMatchObject({ message: expect.stringContaining('cannot finish "queen-nap" in time') });
  });

  it("say like a shell that there is no such program", async () => {
    expect((await host.exec(["/nowhere/hive"], { deadline: soon() })).exitCode).toBe(127);
    await using directory = await temporaryDirectory("qh-host");
    writeFileSync(directory.join("hive"), "", { mode: 0o600 });
    expect((await host.exec([directory.join("hive")], { deadline: soon() })).exitCode).toBe(126);
  });

  it("end at their deadline and with their signal", async () => {
    await expect(host.exec(["sleep", "60"], { deadline: Deadline.in(100) })).rejects.toMatchObject({ kind: "deadline_exceeded" });
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(host.exec(["sleep", "60"], { deadline: soon(), signal })).rejects.toBe(reason);
  });
});

describe("the local host's uploads", () => {
  it("put a file in one step, with its mode, and report their progress", async () => {
    await using directory = await temporaryDirectory("qh-host");
    const bytes = randomBytes(700_000);
    writeFileSync(directory.join("source"), bytes);
    const target = directory.join("new folder/it's here");
    const seen: number[] = [];
    const onProgress = (sent: number, total: number): void => {
      expect(total).toBe(bytes.length);
      seen.push(sent);
    };
    await host.upload({ file: directory.join("source") }, target, { mode: 0o755, deadline: soon(), onProgress });
    expect(readFileSync(target).equals(bytes)).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o755);
    expect(seen.at(-1)).toBe(bytes.length);
    await host.upload({ bytes: Buffer.from("newer") }, target, { mode: 0o600, deadline: soon() });
    expect(readFileSync(target, "utf8")).toBe("newer");
    expect(readdirSync(directory.join("new folder"))).toEqual(["it's here"]);
  });

  it("fail at once when the file cannot be read to its end, whatever their deadline", async () => {
    await using directory = await temporaryDirectory("qh-host");
    // A directory opens like a file, and its first read fails.
    const source = { file: directory.path, sha256: "0".repeat(64) };
    const upload = host.upload(source, directory.join("target/hive"), { mode: 0o755, deadline: soon() });
    await expect(upload).rejects.toMatchObject({
      kind: "upload_failed",
      message: expect.stringContaining("cannot be read here"),
    });
  });

  it("leave nothing behind where the disk is full", async () => {
    const upload = host.upload({ bytes: randomBytes(4_000) }, "/dev/full/hive", { mode: 0o755, deadline: soon() });
    await expect(upload).rejects.toMatchObject({ kind: "upload_failed" });
  });
});

describe("the local host's forwards", () => {
  it("open a socket, and say who did not answer", async () => {
    const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const socket = await host.forward({ host: "127.0.0.1", port }, { traffic: "control", deadline: soon() });
    expect(String((await once(socket, "data"))[0])).toBe("hello");
    socket.destroy();
    server.close();
    const nobody = host.forward({ host: "127.0.0.1", port: await freePort() }, { traffic: "control", deadline: soon() });
    await expect(nobody).rejects.toMatchObject({ kind: "peer_unreachable" });
  });
});
