// Plays the scenarios of two hosts for a person: `npm run show:hosts`, with `-- --transcript FILE` to keep what was said as
// a page. Uses the executable of `npm run build:hive` where it is there.
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { showLossAndReturn, showTwoHosts } from "@queen-and-hive/dev-env";

const { values } = parseArgs({ options: { transcript: { type: "string" } } });
const built = fileURLToPath(new URL(`../dist/hive-linux-${process.arch}`, import.meta.url));
const executable = existsSync(built) ? built : null;
const page: string[] = [introduction()];

await play("From empty to clean", showTwoHosts);
await play("Loss and return", showLossAndReturn);
if (values.transcript !== undefined) writeFileSync(values.transcript, page.join("\n"));

async function play(title: string, show: typeof showTwoHosts): Promise<void> {
  const started = performance.now();
  console.log(title);
  page.push(`## ${title}`, "", "```text");
  const say = (line: string): void => {
    const text = `${((performance.now() - started) / 1_000).toFixed(1).padStart(6)} s  ${line}`;
    console.log(text);
    page.push(text);
  };
  await show({ say, executable });
  page.push("```", "");
}

function introduction(): string {
  return `# Two hosts: a transcript

Written by \`npm run show:hosts -- --transcript docs/two-hosts.md\`. The hosts are network namespaces of one machine, each with
a real OpenSSH server; the processes are real ones, and every sentence is said only after it was checked. The model is
a stand-in. \`tests/hosts/two-hosts.test.ts\` and \`tests/hosts/loss-and-return.test.ts\` play the same.
`;
}
