// Plays the life of the cluster of docker-compose.yml for a person: `npm run show:compose`. An engine that runs is used;
// else, as root, one is started for this and stopped again.
import { showCompose } from "@queen-and-hive/dev-env";

const started = performance.now();
const say = (line: string): void => console.log(`${((performance.now() - started) / 1_000).toFixed(1).padStart(6)} s  ${line}`);
try {
  await showCompose({ say });
  say("everything that was made for this is removed");
} catch (error) {
  console.error(error instanceof Error ? error.stack : error);
  // The timer of a command that could not be executed would keep us for its whole time.
  process.exit(1);
}
