// All tables of situations, in the order of the guide.
import { FOLDERS_IN_USE } from './folders-in-use.js';
import { OLD_FOLDERS } from './old-folders.js';
import { PYTHON_TABLES } from './python.js';
import { SITE_SETTINGS } from './site-settings.js';
import type { FieldTable } from './situation.js';

// Inputs differ by table; the guide reads only names, outcomes and advice.
export const TABLES: readonly Pick<FieldTable<unknown>, 'title' | 'intro' | 'rows'>[] = [
  SITE_SETTINGS,
  OLD_FOLDERS,
  FOLDERS_IN_USE,
  ...PYTHON_TABLES,
];
