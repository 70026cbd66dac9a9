import ssh2, { type IdentityCallback, type ParsedKey } from "ssh2";

/** Which keys of an agent are offered; all in base64 of SSH's wire format. */
export interface AgentKeys {
  /** Those that identity files name: they come first. */
  readonly named: ReadonlySet<string>;
  /** Those that were offered before. */
  readonly offered: ReadonlySet<string>;
  /** Nothing but the named ones is offered (ssh_config(5), IdentitiesOnly). */
  readonly namedOnly: boolean;
}

/** The running agent, with its keys in the order that does not use up a server's MaxAuthTries before the right one. */
export class NamedKeysAgent extends ssh2.OpenSSHAgent {
  readonly #keys: AgentKeys;

  constructor(socketPath: string, keys: AgentKeys) {
    super(socketPath);
    this.#keys = keys;
  }

  override getIdentities(callback: IdentityCallback<ParsedKey>): void {
    const { named, offered, namedOnly } = this.#keys;
    super.getIdentities((error, keys) => {
      if (error || keys === undefined) return callback(error);
      // It gives parsed keys alone; the type allows for agents of other kinds.
      const fresh = keys.filter((key) => "getPublicSSH" in key).filter((key) => !offered.has(textOf(key)));
      const first = fresh.filter((key) => named.has(textOf(key)));
      callback(null, namedOnly ? first : [...first, ...fresh.filter((key) => !first.includes(key))]);
    });
  }
}

function textOf(key: ParsedKey): string {
  return key.getPublicSSH().toString("base64");
}
