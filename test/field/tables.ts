// All tables of situations, in the order of the guide.
import type { FieldTable } from './situation.js';

// Inputs differ by table; the guide reads only names, outcomes and advice.
export const TABLES: readonly Pick<FieldTable<never>, 'title' | 'intro' | 'rows'>[] = [];
