// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of our own configuration look like this
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expandHome, redactSecrets, resolveSecrets } from "./secrets.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qh-secrets-"));
  writeFileSync(join(dir, "webui.key"), "s3cret-from-file\n");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const sources = () => ({ homeDir: dir, env: { TOKEN: "s3cret-from-env" }, baseDir: dir });

describe("references to secrets", () => {
  it("are replaced anywhere, without the line break at a file's end", () => {
    const value = {
      keys: [{ key: "${file:~/webui.key}" }, { key: "${file:webui.key}" }],
      env: { HF: "Bearer ${env:TOKEN}" },
      port: 1,
      host: "{host}",
    };
    expect(resolveSecrets(value, sources())).toEqual({
      keys: [{ key: "s3cret-from-file" }, { key: "s3cret-from-file" }],
      env: { HF: "Bearer s3cret-from-env" },
      port: 1,
      host: "{host}",
    });
    expect(value.keys[0]).toEqual({ key: "${file:~/webui.key}" });
  });

  it("that lead nowhere are named with their key", () => {
    expect(() => resolveSecrets({ keys: [{ key: "${env:NONE}" }] }, sources())).toThrow(
      "cannot resolve ${env:NONE} at keys[0].key: the environment variable NONE is not set",
    );
    expect(() => resolveSecrets({ key: "${file:none}" }, sources())).toThrow(
      `cannot resolve \${file:none} at key: there is no file ${dir}/none`,
    );
    expect(() => resolveSecrets({ key: "${file:.}" }, sources())).toThrow(/cannot be read \(EISDIR\)/);
  });

  it("are printed as references again", () => {
    const resolved = resolveSecrets({ keys: [{ name: "a", key: "${file:webui.key}" }], args: ["-k", "${env:TOKEN}"] }, sources());
    expect(redactSecrets(resolved)).toEqual({ keys: [{ name: "a", key: "${file:webui.key}" }], args: ["-k", "${env:TOKEN}"] });
  });

  it("are not needed for a secret to stay unprinted", () => {
    const printed = redactSecrets({
      key: "plain-s3cret",
      env: { HF_TOKEN: "plain-s3cret", HF_HOME: "/data" },
      keys: [],
      key_file: "x",
    });
    expect(printed).toEqual({ key: "<redacted>", env: { HF_TOKEN: "<redacted>", HF_HOME: "/data" }, keys: [], key_file: "x" });
  });

  it("do not make a __proto__ key a prototype", () => {
    const value: unknown = JSON.parse('{"__proto__": {"polluted": "${env:TOKEN}"}}');
    const resolved = resolveSecrets(value, sources());
    expect(Object.getPrototypeOf(resolved)).toBe(Object.prototype);
    expect(Object.getPrototypeOf(redactSecrets(resolved))).toBe(Object.prototype);
  });
});

it("expands a home directory only where it is meant", () => {
  expect(["~", "~/x", "~me/x", "/a/~", "x"].map((path) => expandHome(path, "/home/me"))).toEqual([
    "/home/me",
    "/home/me/x",
    "~me/x",
    "/a/~",
    "x",
  ]);
});
