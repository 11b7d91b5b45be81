// Versions of the protocol: the one that two sides speak with each other, or which of them is too old.
import { FedStreamError } from '../core/errors.js';

/** Every version from the oldest to the newest, both included. */
export interface VersionRange {
  readonly oldest: number;
  readonly newest: number;
}

/** Versions that this code speaks. */
export const PROTOCOL_VERSIONS: VersionRange = { oldest: 1, newest: 1 };

/**
 * The highest version of both ranges. `unsupported` where they have none in common: the message says which side is
 * too old. `name` is short, `peer` has the address too.
 */
export function commonVersion(own: VersionRange, theirs: VersionRange, name: string, peer = name): number {
  const common = Math.min(own.newest, theirs.newest);
  if (common >= Math.max(own.oldest, theirs.oldest)) return common;
  const late = theirs.newest < own.oldest ? `${name} is too old; update FedStream there` : 'this side is too old; update FedStream here';
  const message = `${peer} speaks ${theirs.oldest === theirs.newest ? 'version' : 'versions'} ${numbers(theirs)} of the protocol`;
  throw new FedStreamError('unsupported', `${message}, this side ${numbers(own)}: ${late}`);
}

function numbers({ oldest, newest }: VersionRange): string {
  return oldest === newest ? `${oldest}` : `${oldest} to ${newest}`;
}
