import { readFileSync } from "node:fs";
import { runTool } from "./run-tool.ts";

/** A key pair in two files: `path` and `path.pub`. */
export interface SshKey {
  readonly path: string;
  /** The line of the public file: kind and key. */
  readonly publicKey: string;
  /** `SHA256:...`, as ssh prints it. */
  readonly fingerprint: string;
}

/** Makes a key pair without a passphrase. */
export function makeSshKey(path: string, kind: "ed25519" | "ecdsa" | "rsa" = "ed25519"): SshKey {
  runTool(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", path]);
  const [type = "", key = ""] = readFileSync(`${path}.pub`, "utf8").split(" ");
  const fingerprint = runTool(["ssh-keygen", "-l", "-f", `${path}.pub`]).split(" ")[1] ?? "";
  return { path, publicKey: `${type} ${key}`, fingerprint };
}
