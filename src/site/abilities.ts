// Refuses a training that the site's trainer would do as if an algorithm's own part were not there.
import { FedStreamError } from '../core/errors.js';
import { listed } from '../core/listed.js';
import { Tellable } from '../core/told.js';
import type { Task } from '../exchange/task.js';
import type { Job } from '../job/job.js';

/** Names that a message lists; the rest is counted. */
const NAMED = 8;

/**
 * Throws `unsupported`, which names what is missing, for a task that needs something that the trainer
 * does not tell that it knows, and for one with an extra that a trainer which tells what it knows
 * does not name. Nothing of this site but the job's own words is in the message, so that the server
 * is told it.
 */
export function checkAbilities(
  { needs = [] }: Pick<Task, 'needs'>,
  extras: readonly string[],
  knows: readonly string[] | undefined,
  job: Job,
): void {
  const missing = [...needs.filter((need) => !knows?.includes(need)), ...extras.filter((extra) => knows && !knows.includes(extra))];
  if (missing.length === 0) return;
  const trainer = job.trainer ? `the trainer ${JSON.stringify(job.trainer.name)}` : 'the built-in trainer';
  const told =
    knows === undefined || knows.length === 0 ? 'it tells of nothing that it knows' : `it knows ${listed([...knows].sort(), NAMED)}`;
  const mend = missing.includes('evaluation') ? '; give each site data to evaluate on (--hold-out)' : '';
  const message = `${trainer} does not know ${listed(missing, NAMED)}, which the job's workflow needs, and would train without it; ${told} (docs/trainer.md)${mend}`;
  throw new FedStreamError('unsupported', message, { cause: new Tellable(message) });
}
