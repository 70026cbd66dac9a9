import { isProcessAlive, type ProcessIdentity } from "@queen-and-hive/daemon";

interface Recorded {
  readonly pid: number | null;
  readonly start_time: number | null;
  readonly boot_id: string | null;
}

/** The process of a hive or worker as a list shows it. Throws when the record has none. */
export function identityOf({ pid, start_time, boot_id }: Recorded): ProcessIdentity {
  if (pid !== null && start_time !== null && boot_id !== null) return { pid, start_time, boot_id };
  throw new Error("cannot give the identity of a process: this record has no process");
}

/** Which of these processes still live, by identity. */
export function livingOf(identities: readonly ProcessIdentity[]): readonly number[] {
  return identities.filter((identity) => isProcessAlive(identity)).map(({ pid }) => pid);
}
