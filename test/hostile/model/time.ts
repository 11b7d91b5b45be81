// The clock of the model-based test: one that the test moves, for worlds in memory, and the real
// one.
import { vi } from 'vitest';
import { HONEST_PATIENCE_MS } from './rounds.js';

export interface Time {
  /** Lets so many milliseconds pass. */
  pass(ms: number): Promise<void>;
  /** Resolves once the server has taken in what was said; `isQuiet` is true if it owes nothing. */
  settle(isQuiet: () => boolean): Promise<void>;
  /** A run whose honest sites work goes on within so many milliseconds. */
  readonly mostRoundMs: number;
  end(): void;
}

/** The clock goes on in slices, so that an honest site can answer a ping. */
const SLICE_MS = 25;

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * In memory everything that can go on has done so after one turn of the event loop; time passes
 * when it is told to.
 */
export function movedTime(): Time {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  return {
    async pass(ms) {
      for (let left = ms; left > 0; left -= SLICE_MS) {
        vi.advanceTimersByTime(Math.min(left, SLICE_MS));
        if (ms >= SLICE_MS) await turn();
      }
    },
    settle: turn,
    mostRoundMs: 3_000,
    end: () => void vi.useRealTimers(),
  };
}

/** A server that owes nothing has answered at once; one that hangs has this long. */
const MOST_WAIT_MS = 20_000;

/** Over sockets nobody knows whether something is on its way: what is owed must come in time. */
export function realTime(): Time {
  return {
    async pass(ms) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(ms, SLICE_MS)));
    },
    async settle(isQuiet) {
      const endMs = performance.now() + MOST_WAIT_MS;
      for (let polls = 0; !isQuiet() && performance.now() < endMs; polls++) {
        if (polls < 20) await turn();
        else await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    mostRoundMs: HONEST_PATIENCE_MS,
    end: () => {},
  };
}
