import { describe, expect, it } from "vitest";
import { BUILT_IN_RUNTIMES, type ResolvedRuntime, type Runtimes, resolveRuntime } from "./resolve-runtime.ts";

function resolved(name: string, runtimes: Runtimes = {}): ResolvedRuntime {
  const runtime = resolveRuntime(runtimes, name);
  if ("kind" in runtime) throw new Error(`${runtime.kind} ${runtime.name}`);
  return runtime;
}

describe("the built-in runtimes", () => {
  it("are these four", () => expect(BUILT_IN_RUNTIMES).toEqual(["embedded", "llama-server", "vllm", "sglang"]));

  it.each(BUILT_IN_RUNTIMES)("%s: its patterns can be read and it says how to look after it", (name) => {
    const { recipe } = resolved(name);
    for (const { line, exit_code } of recipe.causes ?? []) {
      expect(line ?? exit_code).toBeDefined();
      if (line !== undefined) expect(() => new RegExp(line, "i")).not.toThrow();
    }
    expect(recipe.ready).toBeDefined();
    expect(recipe.check).toEqual({ http: "/health" });
  });

  it("pass no flag for slots", () => {
    for (const name of BUILT_IN_RUNTIMES) expect(resolved(name).recipe.command ?? []).not.toContain("{slots}");
  });

  it("let clients reach nothing that loads, changes or describes a server", () => {
    for (const name of BUILT_IN_RUNTIMES) {
      const routes = resolved(name).routes.join(" ");
      expect(routes).not.toMatch(/lora|weights|slots|props|server_info|sleep|wake|flush|metrics|abort|collective/);
    }
  });
});

describe("a runtime that extends another", () => {
  it("takes over what it does not say, adds arguments, variables, files and routes, and names its bases", () => {
    const runtimes: Runtimes = {
      fast: {
        extends: "llama-server",
        args: ["-fa", "on"],
        env: { A: "1" },
        routes: ["/reranking"],
        files: { grammar: ["--grammar-file", "{file}"] },
      },
      faster: { extends: "fast", args: ["--no-mmap"], env: { B: "2" }, stop: { term: "20s" } },
    };
    const { recipe, args, env, routes, devices } = resolved("faster", runtimes);
    const base = resolved("llama-server");
    expect(recipe).toEqual({
      ...base.recipe,
      name: "faster",
      extends: ["fast", "llama-server"],
      files: { ...base.recipe.files, grammar: ["--grammar-file", "{file}"] },
      stop: { term_s: 20 },
    });
    expect(args).toEqual(["-fa", "on", "--no-mmap"]);
    expect(env).toEqual({ A: "1", B: "2" });
    expect(routes).toEqual([...base.routes, "/reranking"]);
    expect(devices).toBe(1);
  });

  it("named like a built-in one varies it, whether it says so or not", () => {
    const said = resolved("vllm", { vllm: { extends: "vllm", args: ["--enforce-eager"] } });
    const unsaid = resolved("vllm", { vllm: { args: ["--enforce-eager"] } });
    expect(said).toEqual(unsaid);
    expect(said.recipe).toEqual(resolved("vllm").recipe);
    expect(said.args).toEqual(["--enforce-eager"]);
  });

  it("looks at its own causes first", () => {
    const own = { line: "my words", cause: "model_invalid" } as const;
    const { recipe } = resolved("mine", { mine: { extends: "vllm", causes: [own] } });
    expect(recipe.causes).toEqual([own, ...(resolved("vllm").recipe.causes ?? [])]);
  });

  it("of itself or of nothing cannot be resolved", () => {
    expect(resolveRuntime({ a: { extends: "b" }, b: { extends: "a" } }, "a")).toEqual({ kind: "circle", name: "a" });
    expect(resolveRuntime({ a: { extends: "b" } }, "a")).toEqual({ kind: "unknown", name: "b" });
    expect(resolveRuntime({}, "constructor")).toEqual({ kind: "unknown", name: "constructor" });
  });
});

it("a command of one's own needs nothing else", () => {
  const { recipe, args, devices } = resolved("mine", { mine: { command: ["/opt/mine", "{port}"], stop: { term: "off" } } });
  expect(recipe).toEqual({ name: "mine", command: ["/opt/mine", "{port}"], stop: { term_s: null } });
  expect(args).toEqual([]);
  expect(devices).toBe(1);
});
