import type { Command } from "commander";
import type { ConfigSurroundings } from "../config/load.ts";
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

/** `queen hive ...`: what operators do with single hives. */
export function addHiveCommands(program: Command, { around, configured, remote, run }: HiveProgramParts): void {
  const hive = program.command("hive").description("look at and change single hives");
  remote(hive.command("ls"))
    .description("where each hive is and what runs there")
    .action(run(async (options: CommonOptions) => (await import("./hive-ls.ts")).hiveLs(options, around)));
  remote(hive.command("start"))
    .description("start hives and wait until they run")
    .argument("<hives...>", "ids of hives")
    .option("--no-wait", "return at once")
    .action(
      run(async (ids: string[], options: CommonOptions & { wait?: boolean }) =>
        (await import("./hive-start.ts")).hiveStart(ids, options, around),
      ),
    );
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
