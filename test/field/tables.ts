// All tables of situations, in the order of the guide.
import { BUILT_IN_TRAINER } from './built-in-trainer.js';
import { BUILT_IN_WEIGHTS } from './built-in-weights.js';
import { GGUF_FILES } from './gguf-files.js';
import { HUB_MODELS } from './hub-models.js';
import { MODEL_FILES } from './model-files.js';
import type { FieldTable } from './situation.js';

// Inputs differ by table; the guide reads only names, outcomes and advice.
export const TABLES: readonly Pick<FieldTable<unknown>, 'title' | 'intro' | 'rows'>[] = [
  BUILT_IN_TRAINER,
  BUILT_IN_WEIGHTS,
  MODEL_FILES,
  HUB_MODELS,
  GGUF_FILES,
];
