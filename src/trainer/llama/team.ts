// Threads that run the same program: the part of each, and a barrier for all.

/** A thread's place among the others. */
export interface Team {
  readonly index: number;
  readonly threads: number;
  /** Returns once every thread has reached it. */
  barrier(): void;
}

/**
 * A thread's part of `total` items, in steps of `grain`. The division decides only which thread
 * does the work, never the result.
 */
export function share(team: Team, total: number, grain = 1): [first: number, end: number] {
  const grains = Math.ceil(total / grain);
  const first = Math.floor((grains * team.index) / team.threads) * grain;
  const end = Math.floor((grains * (team.index + 1)) / team.threads) * grain;
  return [Math.min(first, total), Math.min(end, total)];
}

/**
 * Some 10 µs: the parts of an operation end closer together than the time that a thread takes to
 * wake.
 */
const SPINS = 20_000;

/** A barrier over two words of shared memory: threads that have arrived, and barriers passed. */
export function sharedBarrier(words: Int32Array, threads: number): () => void {
  if (threads === 1) return () => {};
  return () => {
    const turn = Atomics.load(words, 1);
    if (Atomics.add(words, 0, 1) === threads - 1) {
      Atomics.store(words, 0, 0);
      Atomics.add(words, 1, 1);
      Atomics.notify(words, 1);
      return;
    }
    for (let spin = 0; spin < SPINS; spin++) if (Atomics.load(words, 1) !== turn) return;
    while (Atomics.load(words, 1) === turn) Atomics.wait(words, 1, turn);
  };
}
