// All tables of situations, in the order of the guide.
import { NETWORK } from './network.js';
import { SITE_DISK } from './site-disk.js';
import type { FieldTable } from './situation.js';
import { VERSIONS } from './versions.js';

// Inputs differ by table; the guide reads only names, outcomes and advice.
export const TABLES: readonly Pick<FieldTable<unknown>, 'title' | 'intro' | 'rows'>[] = [NETWORK, SITE_DISK, VERSIONS];
