// The budgets of peers: the most that one can make this side hold, read, compute or wait for
// (docs/security.md has them as a table, made of this file).

/** One budget. */
export interface Budget {
  readonly limit: number;
  /** The unit of the limit, in the plural: `bytes`, `connections`, `ms`, … */
  readonly unit: string;
  /** The thing that has the budget: each `address`, each `session`, … */
  readonly each: string;
  /** The consequence for whoever exceeds it, and for nobody else. */
  readonly beyond: string;
  /** The reason for the number. */
  readonly why: string;
}

/**
 * Every budget by its name. A test of `test/hostile` reaches each: its title has `budget` and the
 * name.
 */
export const BUDGETS = {
  // Listeners and connections.

  // Frames, requests and streams of a session.
  controlBytes: {
    limit: 16 * 1024 * 1024,
    unit: 'bytes',
    each: 'session',
    beyond: 'the session ends',
    why: 'control frames are small and few; a peer that leaves so many unread has stopped reading',
  },

  // Admission.

  // Manifests, models and spools.

  // Figures, reports and rounds.

  // Texts and configurations from the other side.
} as const satisfies Readonly<Record<string, Budget>>;

/** The name of a budget. */
export type BudgetName = keyof typeof BUDGETS;
