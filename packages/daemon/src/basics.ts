// What needs no library: `@queen-and-hive/daemon/basics`, for commands that must start at once. All of it is in the index too.
export { Broadcast } from "./broadcast.ts";
export { type Clock, systemClock } from "./clock.ts";
export { expandHome } from "./config/secrets.ts";
export { Deadline } from "./deadline.ts";
export { errorCodeOf } from "./error-code.ts";
export { isNetworkFileSystem } from "./files/network-file-system.ts";
export { ensurePrivateDir } from "./files/private-dir.ts";
export { setAside } from "./files/set-aside.ts";
export { peekStateFile, readStateFile, readTextIfThere, type StateFileContent } from "./files/state-file.ts";
export { writeFileDurable, writeFileDurableSync } from "./files/write-durable.ts";
export { fieldOf, parseJson } from "./json-field.ts";
export { keptConfigText, keptStartSha256 } from "./kept-start.ts";
export {
  isProcessAlive,
  type ProcessIdentity,
  readBootId,
  readProcessIdentity,
  signalProcess,
  waitForProcessEnd,
} from "./process-identity.ts";
export { onSignals } from "./stop.ts";
