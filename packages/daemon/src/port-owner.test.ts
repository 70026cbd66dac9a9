import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { findPortOwner } from "./port-owner.ts";

describe("the owner of a port", () => {
  it("is the process that listens on it, with its command", async () => {
    const code = `const s = require("net").createServer().listen(0, "127.0.0.1", () => console.log(s.address().port))`;
    const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const port = Number(String((await once(child.stdout, "data"))[0]));
      expect(findPortOwner(port)).toEqual({ pid: child.pid, command: expect.stringContaining("createServer") });
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("is found on IPv6 too, and nobody has a port that was closed", async () => {
    const server = createServer().listen(0, "::1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(findPortOwner(port)?.pid).toBe(process.pid);
    server.close();
    await once(server, "close");
    expect(findPortOwner(port)).toBeNull();
  });
});
