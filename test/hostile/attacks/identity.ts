// Attacks on names: a stranger, or a site that calls itself another.
import type { Attack } from '../attack.js';

export const identityAttacks: readonly Attack[] = [];
