// The rounds that failed at a site, for its end: a run may well go on without a site that trains
// nothing.
import { FedStreamError } from '../core/errors.js';
import { SWARM } from '../exchange/swarm.js';
import type { Task } from '../exchange/task.js';

/** Rounds that the last line names with their reasons. */
const MOST_NAMED = 3;

/** Collects the failures of a site. */
export class FailedRounds {
  /** The last failure by what was asked: `train-2`. */
  readonly #failed = new Map<string, { readonly task: Task; readonly failure: FedStreamError }>();

  failed(failure: FedStreamError, task: Task): void {
    this.#failed.set(keyOf(task), { task, failure });
  }

  /** A round that is asked again, after a crash of the server or of an aggregator, may be done in the end. */
  done(task: Task): void {
    this.#failed.delete(keyOf(task));
  }

  /** The error with which a site ends whose run is over; undefined if all that was asked was done. */
  error(reason: string): FedStreamError | undefined {
    const all = [...this.#failed.values()];
    const last = all.at(-1);
    if (!last) return undefined;
    const rounds = new Set(all.map(({ task }) => task.round)).size;
    const named = all.slice(0, MOST_NAMED).map(({ task, failure }) => `${what(task)}: ${failure.message}`);
    const more = all.length - named.length;
    return new FedStreamError(
      last.failure.code,
      `the run is over (${reason}), and ${rounds} of ${last.task.rounds} rounds failed at this site: ${named.join('; ')}${more > 0 ? `; and ${more} more, see its log` : ''}`,
    );
  }
}

/** In a swarm a round that is begun again may ask another part of the site. */
const PARTS: ReadonlySet<string> = new Set([SWARM.prepare, SWARM.serve, SWARM.join]);

function keyOf({ kind, round }: Task): string {
  return `${PARTS.has(kind) ? 'swarm' : kind}-${round}`;
}

function what({ kind, round }: Task): string {
  return kind === 'train' ? `round ${round}` : `${kind} of round ${round}`;
}
