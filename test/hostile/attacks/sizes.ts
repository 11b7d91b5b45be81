// Attacks by size: manifests, models and headers that are larger than they may be.
import type { Attack } from '../attack.js';

export const sizesAttacks: readonly Attack[] = [];
