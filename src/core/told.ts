// The texts about errors that go to the other side: fixed ones, so that no path, no sample and no
// word of a training program is in them.
import { type ErrorCode, FedStreamError } from './errors.js';

/** The cause of an error whose text is fit for the other side: nothing of this machine is in it. */
export class Tellable extends Error {}

/** One text a code. It says where the details are, and nothing of them. */
export const FIXED_TEXTS: Readonly<Record<ErrorCode, string>> = {
  aborted: 'it was stopped',
  'bad-argument': 'its settings cannot be used; its own log has the details',
  'bad-data': 'its data cannot be used; its own log has the details',
  'bad-frame': 'it received bytes that break the protocol; its own log has the details',
  'bad-job': 'it cannot use the job; its own log has the details',
  'bad-manifest': 'it received a manifest that cannot be right; its own log has the details',
  'bad-model': 'the model does not fit there; its own log has the details',
  'bad-tensor-file': 'it has a tensor file that cannot be read; its own log has the details',
  checksum: 'it received damaged bytes',
  closed: 'its connection ended',
  digest: 'it received an object with another digest',
  internal: 'it failed; its own log has the details',
  io: 'its system refused a read or a write; its own log has the details',
  limit: 'a limit of its own was passed; its own log has the details',
  'non-finite': 'it has a value that is not a finite number; its own log has the details',
  'not-found': 'it lacks something that is needed; its own log has the details',
  quorum: 'too few sites finished a round',
  refused: 'its owner does not allow it; its own log has the details',
  timeout: 'it heard nothing for too long',
  trainer: 'its trainer failed; its own log has the details',
  unsupported: 'it cannot do what it was asked for; its own log has the details',
};

/**
 * Codes whose messages on a server may name its files, other sites, or what other sites had to say.
 */
const SERVER_ONLY: ReadonlySet<ErrorCode> = new Set(['io', 'internal', 'quorum', 'trainer', 'bad-argument', 'bad-data', 'bad-tensor-file']);

/** The text about a server's error for one of its sites: the fixed one where details are not the site's. */
export function serverTold({ code, message }: FedStreamError): string {
  return SERVER_ONLY.has(code) ? `the server: ${FIXED_TEXTS[code]}` : message;
}

/** The error that the other side reports. One without words gets those of its code. */
export function reportedError(code: ErrorCode, message = ''): FedStreamError {
  return new FedStreamError(code, message.trim() === '' ? `the other side: ${FIXED_TEXTS[code]}` : message);
}
