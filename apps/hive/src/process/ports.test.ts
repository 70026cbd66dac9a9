import { createServer } from "node:net";
import { expect, it } from "vitest";
import { isPortFree, isPortLeft, PortPool } from "./ports.ts";

/** TEST-NET-1 (RFC 5737): no machine has it. */
const NOT_OURS = "192.0.2.1";

it("a port that somebody listens on is neither free nor left", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  expect(await isPortFree("127.0.0.1", port)).toBe(false);
  expect(await isPortLeft("127.0.0.1", port)).toBe(false);
  await new Promise((resolve) => server.close(resolve));
  expect(await isPortLeft("127.0.0.1", port)).toBe(true);
});

it("nobody listens where the address is not the machine's any more, and nothing new can", async () => {
  expect(await isPortLeft(NOT_OURS, 17_900)).toBe(true);
  await expect(isPortFree(NOT_OURS, 17_900)).rejects.toMatchObject({ kind: "spawn_failed" });
});

it("a port that cannot be bound for another reason is not taken for left", async () => {
  expect(await isPortLeft("no-such-host.invalid", 17_900)).toBe(false);
});

it("ports that could not be tried are free again for the next one who asks", async () => {
  const pool = new PortPool(NOT_OURS, { first: 17_900, last: 17_901 });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await expect(pool.take(1, [])).rejects.toMatchObject({ kind: "spawn_failed" });
  }
});
