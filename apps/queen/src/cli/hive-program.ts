import type { Command } from "commander";
import type { ConfigSurroundings } from "../config/load.ts";
import type { HiveAddFlags } from "./hive-add.ts";
import type { HiveInstallFlags } from "./hive-install.ts";
import type { CommonOptions } from "./program.ts";

/** What the hive commands need of the program around them. */
export interface HiveProgramParts {
  readonly around: ConfigSurroundings;
  /** Adds the option of every command that reads the configuration. */
  readonly configured: (command: Command) => Command;
  /** Adds the options of every command that talks to a queen. */
  readonly remote: (command: Command) => Command;
  /** Makes an action whose result is the exit code. */
  readonly run: <Args extends readonly unknown[]>(work: (...args: Args) => Promise<number>) => (...given: Args) => Promise<void>;
}

const DRAIN_ORDERS = [
  ["drain", "send hives no new requests and no new workers, under a later queen too; what is under way goes on"],
  ["resume", "take drained hives into use again"],
] as const;

/** `queen hive ...`: what operators do with single hives. */
export function addHiveCommands(program: Command, { around, configured, remote, run }: HiveProgramParts): void {
  const hive = program.command("hive").description("look at and change single hives");
  remote(hive.command("ls"))
    .description("where each hive is and what runs there")
    .action(run(async (options: CommonOptions) => (await import("./hive-ls.ts")).hiveLs(options, around)));
  configured(hive.command("add"))
    .description("look at a host, write a hive on it into the configuration file, and have the running queen take it")
    .argument("<id>", "how the hive is to be called")
    .argument("[host]", "local, ssh://user@host:port, user@host or an alias of ~/.ssh/config", "local")
    .option("--transport <way>", "tunnel or direct")
    .option("--identity-file <file>", "the only key to try")
    .option("--known-hosts <file>", "where host keys are looked up")
    .option("--listen <address>", "host:port on which the hive listens there")
    .option("--models-dir <dir>", "where relative model paths start there")
    .option("--install-dir <dir>", "where the hive is installed there")
    .option("--state-dir <dir>", "where it keeps its state there")
    .option(
      "--label <name=value>",
      "a label for placement; may be given again",
      (label: string, all: string[]) => [...all, label],
      [],
    )
    .option("--host-key <fingerprint>", "SHA256:... that the host's key must have, instead of asking")
    .option("--no-check", "do not look at the host")
    .option("--json", "print JSON for programs")
    .action(
      run(async (id: string, host: string, flags: HiveAddFlags) =>
        (await import("./hive-add.ts")).hiveAdd(id, host, flags, around),
      ),
    );
  configured(hive.command("rm"))
    .description("stop hives with their workers and take them out of the configuration file")
    .argument("<hives...>", "ids of hives")
    .option("--force", "also a hive whose end cannot be proven, for its host is gone for good")
    .option("--json", "print JSON for programs")
    .action(
      run(async (ids: string[], options: CommonOptions & { force?: boolean }) =>
        (await import("./hive-rm.ts")).hiveRm(ids, options, around),
      ),
    );
  remote(hive.command("start"))
    .description("start hives and wait until they run")
    .argument("<hives...>", "ids of hives")
    .option("--no-wait", "return at once")
    .action(
      run(async (ids: string[], options: CommonOptions & { wait?: boolean }) =>
        (await import("./hive-start.ts")).hiveStart("start", ids, options, around),
      ),
    );
  remote(hive.command("restart"))
    .description("end the daemons of hives and start them again; their workers go on")
    .argument("<hives...>", "ids of hives")
    .option("--no-wait", "return as soon as the daemon has ended")
    .action(
      run(async (ids: string[], options: CommonOptions & { wait?: boolean }) =>
        (await import("./hive-start.ts")).hiveStart("restart", ids, options, around),
      ),
    );
  for (const [order, description] of DRAIN_ORDERS) {
    remote(hive.command(order))
      .description(description)
      .argument("<hives...>", "ids of hives")
      .action(
        run(async (ids: string[], options: CommonOptions) =>
          (await import("./hive-drain.ts")).hiveDrain(order, ids, options, around),
        ),
      );
  }
  remote(hive.command("stop"))
    .description("stop hives with their workers; they stay so until they are started again, under a later queen too")
    .argument("<hives...>", "ids of hives")
    .option("--keep-workers", "leave the workers running")
    .action(
      run(async (ids: string[], options: CommonOptions & { keepWorkers?: boolean }) =>
        (await import("./hive-stop.ts")).hiveStop(ids, options, around),
      ),
    );
  configured(hive.command("install"))
    .description("bring this checkout's hive to the hosts; what runs there keeps its version until its next start")
    .argument("[hives...]", "ids of hives; all when none is named")
    .option("--dry-run", "say what would be done")
    .option("--with-worker", "bring the embedded worker too, whatever models may be placed there")
    .option("--json", "print JSON for programs")
    .action(
      run(async (ids: string[], flags: HiveInstallFlags) => (await import("./hive-install.ts")).hiveInstall(ids, flags, around)),
    );
  remote(hive.command("logs"))
    .description("the last lines of a hive's own log")
    .argument("<hive>", "id of a hive")
    .option("--tail <lines>", "how many lines")
    .action(
      run(async (id: string, options: CommonOptions & { tail?: string }) =>
        (await import("./hive-logs.ts")).hiveLogs(id, options, around),
      ),
    );
}
