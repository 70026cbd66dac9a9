import type { QueenConfigInput } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findConfigProblems } from "./checks.ts";
import { parseSshTarget } from "./ssh-target.ts";

const paths = (config: QueenConfigInput): readonly string[] => findConfigProblems(config).map(({ path }) => path);

describe("a hive's host", () => {
  it("is an address, a user and an address, or an alias", () => {
    expect(parseSshTarget("ssh://me@gpu1:2222")).toEqual({ user: "me", host: "gpu1", port: 2222 });
    expect(parseSshTarget("me@10.0.0.2")).toEqual({ user: "me", host: "10.0.0.2", port: null });
    expect(parseSshTarget("gpu-box.lan")).toEqual({ user: null, host: "gpu-box.lan", port: null });
    expect(parseSshTarget("ssh://[fe80::1]:22")).toEqual({ user: null, host: "fe80::1", port: 22 });
  });

  it.each([
    "-oProxyCommand=touch /tmp/x",
    "ssh://-oProxyCommand=x",
    "-x@host",
    "me@-host",
    "host name",
    "host\nname",
    "ho'st",
    'ho"st',
    "$(id)",
    "me$(id)@host",
    "`id`",
    "host;id",
    "%h",
    "ssh://host:0",
    "ssh://host:70000",
    "ssh://host:22:22",
    "ssh://host/path",
    "",
  ])("is never %j", (host) => {
    expect(parseSshTarget(host)).toBeNull();
    if (host !== "") expect(paths({ hives: [{ id: "a", host }] })).toContain("/hives/0/host");
  });

  it("has no sign that a shell or ssh would read otherwise, whatever was written", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const target = parseSshTarget(text);
        if (target === null) return;
        for (const word of [target.user ?? "u", target.host]) expect(word).toMatch(/^[A-Za-z0-9_:[][A-Za-z0-9_.+:-]*$/);
      }),
    );
  });
});

describe("a hive on another machine", () => {
  it("has absolute paths of its own machine", () => {
    const hive = { id: "a", host: "gpu1", state_dir: "state", models_dir: "~/models", install_dir: "/opt/hive" };
    expect(paths({ hives: [hive] })).toEqual(["/hives/0/state_dir"]);
  });

  it("that is direct names addresses that reach it and us, and commands that listen there", () => {
    const hive = { id: "a", host: "gpu1", transport: "direct" as const };
    expect(paths({ hives: [hive] })).toEqual(["/hives/0/listen", "/hives/0/worker_host", "/hive_listen"]);
    expect(
      paths({ hives: [{ ...hive, listen: "0.0.0.0:9200", worker_host: "127.0.0.1" }], hive_listen: "127.0.0.1:8081" }),
    ).toEqual(["/hives/0/listen", "/hives/0/worker_host", "/hive_listen"]);
    const reachable = { ...hive, listen: "10.0.0.2:9200", worker_host: "10.0.0.2" };
    expect(paths({ hives: [reachable], hive_listen: "10.0.0.1:8081" })).toEqual([]);
    const runtimes = { mine: { command: ["/opt/server", "--port", "{port}"], ready: { http: "/health" } } };
    const config = { hives: [reachable], hive_listen: "10.0.0.1:8081", runtimes, models: [{ id: "m", runtime: "mine" }] };
    expect(paths(config)).toEqual(["/runtimes/mine/command"]);
  });
});
