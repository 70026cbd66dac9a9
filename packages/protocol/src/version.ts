/** The protocol versions that this code can speak; hand-shakes carry it so that N-1 and N work together. */
export const PROTOCOL = { min: 1, max: 1 } as const;

/** A range of protocol versions, both ends included. */
export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/** The highest version that both sides speak, or null when there is none. */
export function commonProtocol(ours: ProtocolRange, theirs: ProtocolRange): number | null {
  const highest = Math.min(ours.max, theirs.max);
  return highest >= Math.max(ours.min, theirs.min) ? highest : null;
}
