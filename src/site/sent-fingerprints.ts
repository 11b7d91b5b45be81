// Checks the fingerprints of a site's trainer before they leave.
import { FedStreamError } from '../core/errors.js';
import { type Fingerprints, fingerprintsSchema } from '../trainer/fingerprints.js';

/** The fingerprints, unchanged; throws `trainer`, naming the one that cannot be told. */
export function checkedFingerprints(told: Fingerprints): Fingerprints {
  const wrong = fingerprintsSchema.safeParse(told).error?.issues[0];
  if (!wrong) return told;
  throw new FedStreamError('trainer', `the trainer's ${['fingerprints', ...wrong.path].join('.')} cannot be told: ${wrong.message}`);
}
