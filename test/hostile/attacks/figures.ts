// Attacks by figures and reports: numbers that break means, lines that fill disks.
import type { Attack } from '../attack.js';

export const figuresAttacks: readonly Attack[] = [];
