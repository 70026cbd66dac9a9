/** One upstream of the configuration, its secret resolved. */
export interface UpstreamSettings {
  readonly id: string;
  /** `http(s)://host:port`. */
  readonly url: string;
  /** The path below which its OpenAI API stands, such as `/v1`. */
  readonly basePath: string;
  readonly key: string | null;
  /** Our model id -> the upstream's name for it. */
  readonly models: Readonly<Record<string, string>>;
  /** It may be off without an alarm. */
  readonly bestEffort: boolean;
  /** Used only while no worker of ours has a free slot. */
  readonly overflow: boolean;
  /** How many requests it is given at the same time. */
  readonly slots: number;
}
