// A `hive` for tests that puts proxies between a queen and her hive: it runs the checkout's hive with the same arguments,
// and changes one address in what the queen says on standard input and one in what the hive answers.
// Usage: main.ts QUEEN_URL QUEEN_PROXY_URL HIVE_URL HIVE_PROXY_URL <arguments of hive>...
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { programCommand } from "../processes/surroundings.ts";

const [queenUrl = "", queenProxyUrl = "", hiveUrl = "", hiveProxyUrl = "", ...args] = process.argv.slice(2);
const [node = "", main = ""] = programCommand("hive");
const said = process.stdin.isTTY ? "" : await text(process.stdin);
const child = spawn(node, [main, ...args], { stdio: ["pipe", "pipe", "inherit"] });
child.stdin.on("error", () => undefined);
child.stdin.end(said.replaceAll(queenUrl, queenProxyUrl));
const answered = text(child.stdout);
const code = await new Promise<number | null>((resolve) => child.on("exit", resolve));
process.stdout.write((await answered).replaceAll(hiveUrl, hiveProxyUrl));
process.exitCode = code ?? 1;
