// Versions of the protocol, and the highest one that two sides have in common.
import { FedStreamError } from '../core/errors.js';

/** All versions from the oldest to the newest, both included. */
export interface VersionRange {
  readonly oldest: number;
  readonly newest: number;
}

/** The versions that this code speaks. */
export const PROTOCOL_VERSIONS: VersionRange = { oldest: 1, newest: 1 };

/**
 * The highest version in both ranges. Throws `unsupported` if they have none in common; the message
 * says which side is too old. `name` is short, `peer` includes the address.
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
