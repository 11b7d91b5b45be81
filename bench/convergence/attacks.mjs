// The attacks of studies A and T, and the rules that are held against them, as data.
import { randomStream, shuffle } from '../../dist/core/random.js';
import { generateTasks } from '../../dist/trainer/data/generate/generate-tasks.js';
import { LIE_NAMES } from './lying-trainer.mjs';

/** The site that lies; its name is the last, so its weight is that of any other. */
const LIAR = 'site-5';

/** The attacks by name: what the liar sends, or learns. `none`: five honest sites. */
export const ATTACKS = ['none', 'reversed', 'noise', 'wrong answers'];

/** The changes of each arm to the job. The job's own bound on norms is off where it is not named. */
export const RULES = {
  fedAvg: { normBound: 'off' },
  // A result that the bound refuses is missing from its round.
  'fedAvg-bounded': { normBound: 10, quorum: 4 },
  median: { aggregator: 'median', normBound: 'off' },
  trimmedMean: { aggregator: { type: 'trimmedMean', trim: 1 }, normBound: 'off' },
  multiKrum: { aggregator: 'multiKrum', normBound: 'off' },
  clippedMean: { aggregator: 'clippedMean', normBound: 'off' },
  geometricMedian: { aggregator: 'geometricMedian', normBound: 'off' },
  krum: { aggregator: 'krum', normBound: 'off' },
};

/** Updates of an honest norm never meet the job's bound, so these runs would repeat others. */
export const hasRun = ({ attack, arm }) => attack === undefined || arm !== 'fedAvg-bounded' || attack === 'reversed';

/** The lying site of a run: {site, lie}; undefined in a run of honest sites. */
export function liarOf({ attack }) {
  if (attack === undefined || attack === 'none') return undefined;
  return { site: LIAR, lie: LIE_NAMES.includes(attack) ? attack : undefined };
}

/**
 * The sites' data: under `wrong answers` the liar's answers belong to other questions, and under
 * `another task` it has as many samples of generated tasks.
 */
export function attackedData(attack, bySite, seed) {
  const own = bySite.get(LIAR);
  if (attack === 'another task') return new Map([...bySite, [LIAR, generateTasks(seed, own.length)]]);
  if (attack !== 'wrong answers') return bySite;
  const answers = shuffle(
    own.map(({ answer }) => answer),
    randomStream(seed, 'wrong answers'),
  );
  return new Map([...bySite, [LIAR, own.map((sample, i) => ({ ...sample, answer: answers[i] }))]]);
}
