// The seed and the steps of a model-based test, and what a failure prints so that it can be replayed.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { shrunk } from './shrink.js';

export const SEED = Number(process.env.FEDSTREAM_HOSTILE_SEED ?? 1);
/** The epoch to begin with. */
export const FIRST = Number(process.env.FEDSTREAM_HOSTILE_EPOCH ?? 0);
/** The steps to replay, if not all. */
export const ONLY = process.env.FEDSTREAM_HOSTILE_ONLY?.split(',').map(Number);

/** A failure of an epoch. */
export interface Failure {
  readonly kind: string;
  readonly detail: string;
  readonly step: number;
}

/** An epoch, as far as a replay needs it. */
export interface Replayed {
  readonly number: number;
  readonly setting: { readonly name: string };
  readonly steps: readonly number[];
}

/**
 * Throws with what is needed to replay a failure: the epoch and fewer steps that fail in the same
 * way. `kindOf` runs these steps of it, and says how they fail; `whole` is the variable that replays
 * all of them, if there is one.
 */
export async function explain(
  epoch: Replayed,
  { kind, detail, step }: Failure,
  kindOf: (steps: readonly number[]) => Promise<string | undefined>,
  shrinkMs: number,
  whole?: string,
): Promise<never> {
  const until = epoch.steps.filter((one) => one <= step);
  const few = ONLY ? until : await shrunk(until, async (steps) => (await kindOf(steps)) === kind, shrinkMs);
  const replay = `  FEDSTREAM_HOSTILE_SEED=${SEED} FEDSTREAM_HOSTILE_EPOCH=${epoch.number}`;
  const lines = [
    `${kind}: ${detail}`,
    `in epoch ${epoch.number} (${epoch.setting.name}) after step ${step}; replay its ${few.length} steps that are enough with`,
    `${replay} FEDSTREAM_HOSTILE_ONLY=${few.join(',')}`,
  ];
  if (whole !== undefined) lines.push('or all of them with', `${replay} ${whole}=${step + 1}`);
  throw new Error(lines.join('\n'));
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes in use after a collection. */
export async function usedBytes(): Promise<number> {
  collect();
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
