// The budgets of peers that are not admitted.
import type { Budget } from './budget.js';

/** The budgets of peers that are not admitted. */
export const ADMISSION_BUDGETS = {
  refusalPauseMs: {
    limit: 5_000,
    unit: 'ms',
    each: 'refusal',
    beyond: 'the pause grows no further',
    why: 'a person who mistyped a name waits no longer; whoever guesses gets one answer in 5 s a connection',
  },
  refusedOfAddress: {
    limit: 64,
    unit: 'refused peers that wait for their answer',
    each: 'address (IPv4, or a /64 of IPv6)',
    beyond: 'the next refused peer is cut off without an answer',
    why: 'many sites behind one proxy may be misconfigured at once; each costs a connection meanwhile',
  },
  refused: {
    limit: 512,
    unit: 'refused peers that wait for their answer',
    each: 'hub',
    beyond: 'the next refused peer is cut off without an answer',
    why: 'a quarter of the connections that may be pending',
  },
} as const satisfies Readonly<Record<string, Budget>>;
