// All tables of situations, in the order of the guide.
import { BUILT_IN_TRAINER } from './built-in-trainer.js';
import { BUILT_IN_WEIGHTS } from './built-in-weights.js';
import { DATA_FILES } from './data-files.js';
import { DATA_SHAPES } from './data-shapes.js';
import { FOLDERS_IN_USE } from './folders-in-use.js';
import { GGUF_FILES } from './gguf-files.js';
import { HUB_MODELS } from './hub-models.js';
import { MODEL_FILES } from './model-files.js';
import { NETWORK } from './network.js';
import { OFFERS } from './offers.js';
import { OLD_FOLDERS } from './old-folders.js';
import { PYTHON_TABLES } from './python.js';
import { SITE_DISK } from './site-disk.js';
import { SITE_SETTINGS } from './site-settings.js';
import type { FieldTable } from './situation.js';
import { TENSORS } from './tensors.js';
import { TOKENS } from './tokens.js';
import { VERSIONS } from './versions.js';

// Inputs differ by table; the guide reads only names, outcomes and advice.
export const TABLES: readonly Pick<FieldTable<unknown>, 'title' | 'intro' | 'rows'>[] = [
  BUILT_IN_TRAINER,
  BUILT_IN_WEIGHTS,
  DATA_FILES,
  DATA_SHAPES,
  TOKENS,
  SITE_SETTINGS,
  OLD_FOLDERS,
  FOLDERS_IN_USE,
  NETWORK,
  SITE_DISK,
  VERSIONS,
  OFFERS,
  TENSORS,
  MODEL_FILES,
  HUB_MODELS,
  GGUF_FILES,
  ...PYTHON_TABLES,
];
