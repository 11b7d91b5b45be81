// The budgets of peers: the most that one can make this side hold, read, compute or wait for
// (docs/security.md has them as a table, made of this file).
import { ADMISSION_BUDGETS } from './budgets/admission-budgets.js';
import { CONNECTION_BUDGETS } from './budgets/connection-budgets.js';
import { DATA_BUDGETS } from './budgets/data-budgets.js';
import { FIGURE_BUDGETS } from './budgets/figure-budgets.js';
import { SESSION_BUDGETS } from './budgets/session-budgets.js';
import { SIZE_BUDGETS } from './budgets/size-budgets.js';
import { TEXT_BUDGETS } from './budgets/text-budgets.js';

export type { Budget } from './budgets/budget.js';

/**
 * Every budget by its name. A test of `test/hostile` reaches each: its title has `budget` and the
 * name.
 */
export const BUDGETS = {
  ...CONNECTION_BUDGETS,
  ...SESSION_BUDGETS,
  ...ADMISSION_BUDGETS,
  ...SIZE_BUDGETS,
  ...FIGURE_BUDGETS,
  ...TEXT_BUDGETS,
  ...DATA_BUDGETS,
} as const;

/** The name of a budget. */
export type BudgetName = keyof typeof BUDGETS;
