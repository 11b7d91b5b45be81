// One budget of a peer.

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
