/** A machine as a person names it for ssh: an address, or an alias of `~/.ssh/config`. */
export interface SshTarget {
  /** Null where ssh's own configuration decides. */
  readonly user: string | null;
  readonly host: string;
  readonly port: number | null;
}

/** No sign that a shell, an option parser or ssh's own tokens (%h) would take for something else; never a leading dash. */
const USER = "[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}";
const NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}";
const ADDRESS = "\\[[0-9A-Fa-f:.]{2,45}\\]";
const TARGET = new RegExp(`^(?:ssh://)?(?:(${USER})@)?(${NAME}|${ADDRESS})(?::([0-9]{1,5}))?/?$`);
const PORT_MAX = 65_535;

/** What can be written as `host:` beside `local`. */
export const SSH_TARGET_FORM = "local, ssh://user@host:port, user@host or an alias of ~/.ssh/config";

/** `ssh://user@host:port`, `user@host` or an alias -> its parts; null for anything else. */
export function parseSshTarget(text: string): SshTarget | null {
  const match = TARGET.exec(text);
  if (match === null) return null;
  const [, user, host = "", port] = match;
  if (port !== undefined && (Number(port) < 1 || Number(port) > PORT_MAX)) return null;
  return { user: user ?? null, host: host.replace(/^\[|\]$/g, ""), port: port === undefined ? null : Number(port) };
}
