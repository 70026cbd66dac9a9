import type { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { framedLine, lastWords } from "./framed-line.ts";
import type { Argv, CommandEnd, HostFacts } from "./host.ts";

const MARK = "queen-host-facts";

/** Prints user id, machine id and home directory, the home directory last since it may have spaces. */
const FACTS_SCRIPT = `
id=$(cat /etc/machine-id 2>/dev/null || cat /var/lib/dbus/machine-id 2>/dev/null)
printf '\\n${MARK} %s %s %s\\n' "$(id -u)" "\${id:-$(uname -n)}" "$HOME"
`;

const FACTS_ARGV: Argv = ["sh", "-c", FACTS_SCRIPT, "queen-facts"];

/** Runs commands on the host in question. */
type Exec = (argv: Argv, options: { deadline: Deadline; signal?: AbortSignal | undefined }) => Promise<CommandEnd>;

/** Asks a host who we are on it. Throws what `exec` throws, and `host_unreachable` for an answer that is none. */
export async function readHostFacts(exec: Exec, name: string, deadline: Deadline, signal?: AbortSignal): Promise<HostFacts> {
  const end = await exec(FACTS_ARGV, { deadline, signal });
  const [uid, machineId, ...home] = framedLine(end.stdout, MARK)?.split(" ") ?? [];
  if (uid === undefined || machineId === undefined || home.length === 0 || !/^[0-9]+$/.test(uid)) {
    throw new QhError(
      "host_unreachable",
      `cannot work on ${name}: its login shell does not run commands (${lastWords(end)}); try "ssh ${name} id" there`,
    );
  }
  return { uid: Number(uid), machineId, home: home.join(" ") };
}
