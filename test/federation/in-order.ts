// Scripted sites of asynchronous federations: with delays of their own, or in the order of a journal.
import type { JobInput } from '../../src/job/job.js';
import type { JournalEntry } from '../../src/server/journal.js';
import type { Scripted, ScriptedSite, Values } from './scripted.js';

export const ROUNDS = 6;

interface Job extends JobInput {
  readonly buffer?: number;
  readonly staleness?: number;
}

/** A job of `fedBuff`. */
export function jobOf({ buffer = 2, staleness = 10, ...more }: Job = {}): JobInput {
  return { rounds: ROUNDS, quorum: 2, seed: 3, workflow: { type: 'fedBuff', buffer, staleness }, ...more };
}

/** What a site learns: its own, of the model and the round that it was asked in. */
export function learnt(index: number, given: Values, round: number): Values {
  return Object.fromEntries(
    Object.entries(given).map(([name, data]) => [
      name,
      data.map((value, i) => value + 0.01 * Math.sin(i * (index + 1) + round) - 0.1 * value),
    ]),
  );
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Sites `a`, `b`, … that take so long for a training, and note what they are asked. */
export function sitesOf(delaysMs: readonly number[], asked: string[] = []): Record<string, ScriptedSite> {
  return Object.fromEntries(
    delaysMs.map((delayMs, index) => {
      const name = String.fromCharCode(97 + index);
      const learn: ScriptedSite['learn'] = async (given, round) => {
        asked.push(`${name}-${round}`);
        await pause(delayMs);
        return learnt(index, given, round);
      };
      return [name, { samples: index + 1, learn }];
    }),
  );
}

/** An answer that came in a round, to what was asked in that or an earlier one. */
interface Came {
  readonly site: string;
  readonly round: number;
  readonly asked: number;
  readonly status: string;
}

/** The answers that a journal has, in their order. */
export function arrivals(history: readonly JournalEntry[]): Came[] {
  return history.flatMap(({ round, arrivals: came = [] }) =>
    came.map(({ site, round: asked, status }) => ({ site, round, asked, status })),
  );
}

/** Sites whose answers arrive in the order of a journal: each waits until it is its turn. */
export function conducted(
  history: readonly JournalEntry[],
  count: number,
): { sites: Record<string, ScriptedSite>; onEvent: Scripted['onEvent'] } {
  const order = arrivals(history);
  let next = 0;
  const waiting = new Set<() => void>();
  const sites = Object.fromEntries(
    Array.from({ length: count }, (_, index) => {
      const name = String.fromCharCode(97 + index);
      const learn: ScriptedSite['learn'] = async (given, round, task) => {
        const turn = (): boolean => order[next]?.site === name && order[next]?.asked === round;
        while (!turn()) {
          if (next >= order.length || task?.signal.aborted) break;
          await new Promise<void>((resolve) => {
            waiting.add(resolve);
            task?.signal.addEventListener('abort', () => resolve());
          });
        }
        return learnt(index, given, round);
      };
      return [name, { samples: index + 1, learn }];
    }),
  );
  const onEvent: Scripted['onEvent'] = (event) => {
    if (event.type !== 'arrival') return;
    next++;
    for (const wake of waiting) wake();
    waiting.clear();
  };
  return { sites, onEvent };
}
