import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { fakeModel, fakeWorkerCommand, startTestCluster, temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { ask, chat } from "./ask.ts";

const REQUESTS = 200;
const AT_ONCE = 20;

/** A machine with one GPU of 24 GiB, as `nvidia-smi` tells of it: each living worker holds 16 of them. */
async function fakeGpu(folder: string): Promise<{ readonly path: string; readonly wrapper: readonly string[] }> {
  await mkdir(`${folder}/bin`);
  await mkdir(`${folder}/held`);
  const living = `for file in ${folder}/held/*; do pid=\${file##*/}; [ -d "/proc/$pid" ] &&`;
  const smi = `#!/bin/sh
used=0
${living} used=$((used + 16384)); done
case "$1" in
  --query-gpu*) echo "GPU-11111111, a GPU of a test, 24576, $used, 0" ;;
  --query-compute-apps*) ${living} echo "$pid, GPU-11111111, 16384"; done ;;
esac
exit 0
`;
  // Notes the worker, and every other one that lives at its start: two would not fit into a real GPU.
  const hold = `#!/bin/sh
${living} echo "$pid" >> ${folder}/overlaps; done
: > ${folder}/held/$$
exec "$@"
`;
  for (const [name, text] of Object.entries({ "nvidia-smi": smi, hold })) {
    await writeFile(`${folder}/bin/${name}`, text);
    await chmod(`${folder}/bin/${name}`, 0o755);
  }
  return { path: `${folder}/bin`, wrapper: [`${folder}/bin/hold`] };
}

it("two models and one GPU's worth of memory: 200 mixed requests are all answered, with few swaps and nobody starved", async () => {
  await using folder = await temporaryDirectory("qh-gpu");
  const gpu = await fakeGpu(folder.path);
  const place = { devices: 1, memory: "16GiB" };
  const command = [...gpu.wrapper, ...fakeWorkerCommand(["--token-rate", "200", "--tokens", "4"])];
  await using cluster = await startTestCluster({
    env: { PATH: `${gpu.path}:${process.env["PATH"] ?? ""}` },
    config: {
      models: [fakeModel("one", "held", { place }), fakeModel("other", "held", { place })],
      runtimes: { held: { command, ready: { callback: true } } },
      eviction: { min_resident: "1s", turn: "2s" },
      queue: { max_waiting: REQUESTS, max_wait: "5m", load_wait: "5m" },
    },
  });
  const startedMs = performance.now();
  let next = 0;
  const answers: { readonly status: number; readonly model: string; readonly tookMs: number }[] = [];
  const client = async (): Promise<void> => {
    for (let number = next++; number < REQUESTS; number = next++) {
      // Neither in turns nor half and half: two thirds for one, in an order that looks like chance.
      const model = (number * 7919) % 3 === 0 ? "other" : "one";
      const askedMs = performance.now();
      const { status } = await ask(cluster.queen.url, { body: chat(model) });
      answers.push({ status, model, tookMs: performance.now() - askedMs });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  const seconds = (performance.now() - startedMs) / 1_000;
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(REQUESTS);
  const loads = (await readdir(`${folder.path}/held`)).length;
  // The first load, and then nothing is evicted before it has stayed for a second.
  expect(loads).toBeGreaterThanOrEqual(2);
  expect(loads).toBeLessThanOrEqual(2 + seconds);
  expect(Math.max(...answers.map(({ tookMs }) => tookMs))).toBeLessThan(60_000);
  expect(await readFile(`${folder.path}/overlaps`, "utf8").catch(() => "none")).toBe("none");
}, 180_000);
