// Finds a short list of steps that still fails: delta debugging (Zeller & Hildebrandt 2002) by
// replay.

/** Replays some steps; true if the same promise is broken. */
export type Fails = (steps: readonly number[]) => Promise<boolean>;

/** The shortest list found within the time; `steps` fails. */
export async function shrunk(steps: readonly number[], fails: Fails, mostMs: number): Promise<readonly number[]> {
  const endMs = Date.now() + mostMs;
  let best = steps;
  for (let parts = 2; best.length > 1 && Date.now() < endMs; ) {
    const size = Math.ceil(best.length / parts);
    let smaller: readonly number[] | undefined;
    for (let from = 0; from < best.length && !smaller && Date.now() < endMs; from += size) {
      const rest = [...best.slice(0, from), ...best.slice(from + size)];
      if (await fails(rest)) smaller = rest;
    }
    if (smaller) {
      best = smaller;
      parts = Math.max(parts - 1, 2);
    } else if (size === 1) break;
    else parts = Math.min(parts * 2, best.length);
  }
  return best;
}
