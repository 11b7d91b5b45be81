// Fingerprints: short texts by name that say what a training rests on, so that a server can compare
// its sites (docs/spec/trainer-bridge.md).
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';

/** Texts by name: `adapter.lora_alpha` is `16`. Values are settings as they are, or digests. */
export type Fingerprints = Readonly<Record<string, string>>;

/** The names that a fingerprint may have. */
export const FINGERPRINT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const MOST = BUDGETS.fingerprints.limit;
const VALUE = new RegExp(`^[\\u0020-\\u007e]{1,${BUDGETS.fingerprintText.limit}}$`);

/** Checks what a program or a site tells. */
export const fingerprintsSchema = z
  .record(
    z.string().regex(FINGERPRINT_NAME, 'a name has 1 to 64 letters, digits, dots, dashes or underscores'),
    z.string().regex(VALUE, `a value has 1 to ${BUDGETS.fingerprintText.limit} characters of ASCII that can be seen`),
  )
  .refine((all) => Object.keys(all).length <= MOST, `at most ${MOST} fingerprints`);
