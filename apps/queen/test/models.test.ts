import { fakeModel, fakeRuntime, startTestQueen, until } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";

describe("GET /v1/models", () => {
  it("says of each model whether it is loaded, what fits into it and where it is", async () => {
    await using queen = await startTestQueen({
      config: {
        runtimes: { slow: fakeRuntime(["--load-ms", "1500"]), broken: fakeRuntime(["--fault", "crash-at-start"]) },
        models: [fakeModel("slow", "slow", { aliases: ["gpt-4o"] }), fakeModel("broken", "broken")],
      },
    });
    await queen.hivesRunning();
    const modelOf = async (id: string) => await queen.peer.call(QUEEN_ENDPOINTS.getModel, { params: { model: id } });
    expect(await modelOf("slow")).toMatchObject({ id: "slow", status: "unloaded", aliases: ["gpt-4o"], where: [] });
    const ask = (model: string) =>
      fetch(`${queen.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, messages: [] }),
      });
    const answers = [ask("slow"), ask("broken")];
    await until(async () => (await modelOf("slow")).status === "loading", 20_000, "it loads");
    expect(await modelOf("slow")).not.toHaveProperty("context_length");
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 503]);
    expect(await modelOf("gpt-4o")).toMatchObject({ id: "slow", status: "loaded", context_length: 4_096, where: ["local"] });
    expect(await modelOf("broken")).toMatchObject({ status: "failed", where: [] });
  });
});
