// The budgets of data files and of what is rendered from them.
import type { Budget } from './budget.js';

/** The budgets of data files and of what is rendered from them. */
export const DATA_BUDGETS = {
  expansion: {
    limit: 400,
    unit: 'times its own size',
    each: 'compressed data file, beyond its first 64 MiB of text',
    beyond: 'the file is refused by name',
    why: 'text of data sets compresses to a third or a tenth; a file of one byte repeated expands a thousand times and more',
  },
  renderedCharacters: {
    limit: 8 * 1024 * 1024,
    unit: 'characters',
    each: 'conversation that a chat template renders',
    beyond: 'the template is refused, and the site or the command ends with one error',
    why: 'the longest contexts hold some 4 million characters; a template may repeat its text without end',
  },
  arrowBytes: {
    limit: 1024 * 1024 * 1024,
    unit: 'bytes',
    each: 'Arrow file of data',
    beyond: 'the file is refused by name',
    why: 'it is in memory as a whole; datasets cuts its own at 500 MB',
  },
} as const satisfies Readonly<Record<string, Budget>>;
