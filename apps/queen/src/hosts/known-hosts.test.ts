import { symlinkSync, writeFileSync } from "node:fs";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { findKnownKeys } from "./known-hosts.ts";

it("a known_hosts file that cannot be read is a failure, and not one without keys", async () => {
  await using directory = await temporaryDirectory("qh-known");
  const near = directory.join("known_hosts");
  writeFileSync(near, "there ssh-ed25519 AAAA\n");
  expect((await findKnownKeys([near, directory.join("nowhere")], "elsewhere")).trusted).toEqual([]);
  // Permissions do not stop root; a link that leads to itself stops everybody.
  const endless = directory.join("endless");
  symlinkSync(endless, endless);
  await expect(findKnownKeys([near, endless], "there")).rejects.toMatchObject({
    kind: "host_unreachable",
    message: expect.stringContaining("ssh-keygen says"),
  });
});
