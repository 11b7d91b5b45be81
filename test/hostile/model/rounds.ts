// The workflow of the model-based test: rounds of the honest sites, and tasks of every kind for
// insiders beside them.

import type { StateDict } from '../../../src/tensor/state-dict.js';
import { aggregated } from '../../../src/workflow/aggregate/aggregated.js';
import { mean } from '../../../src/workflow/aggregate/mean.js';
import type { Ask, Federation, Offer, Outcome, Workflow } from '../../../src/workflow/federation.js';
import { inRounds } from '../../../src/workflow/in-rounds.js';

export interface RoundsOptions {
  readonly honest: readonly string[];
  readonly insiders: readonly string[];
  /** Called when a round begins, with the model that it begins with. */
  began(round: number, model: StateDict): Promise<void>;
  /** Called when nobody waits for the site's task any more. */
  closed(site: string, outcome: Outcome | undefined): void;
}

/** Time limits for insiders. */
const SILENCE_MS = 90;
const DEADLINE_MS = 120;
const MOST_TASKS_A_ROUND = 12;
/** Honest sites answer when the test lets them, and soon after that. */
export const HONEST_PATIENCE_MS = 60_000;
const PATIENT = { silenceMs: 3_600_000, deadlineMs: 3_600_000 };

/** Asks of one insider in a round, in turn. */
function askOf(number: number, offer: Offer): Ask {
  const kinds: Ask[] = [
    { kind: 'train', offer, evaluate: true },
    { kind: 'measure', offer, evaluate: true },
    { kind: 'train', offer, extras: { control: offer.held } },
    { kind: 'offer' },
    { kind: 'own', figures: { step: number } },
  ];
  return kinds[number % kinds.length] as Ask;
}

/**
 * The honest sites alone decide on the model, so that its bits can be compared with those of a run
 * without insiders. Insiders are asked one thing after the other, and their figures count.
 */
export function roundsWith({ honest, insiders, began, closed }: RoundsOptions): Workflow {
  return (federation) =>
    inRounds(federation, async ({ round, offer, previous, evaluate }) => {
      await began(round, previous);
      const end = { over: false };
      const beside = Promise.all(insiders.map((site) => askAll(federation, site, offer, end, closed)));
      beside.catch(() => {}); // the run may fail before it is awaited
      const outcomes = await federation.gather({ kind: 'train', offer, evaluate }, { sites: honest, quorum: honest.length, ...PATIENT });
      for (const outcome of outcomes) closed(outcome.site, outcome);
      end.over = true;
      const others = (await beside).flat();
      const model = await aggregated({ aggregator: mean, integers: 'refuse' }, outcomes, previous, federation);
      return { model, outcomes: [...outcomes, ...others] };
    });
}

async function askAll(
  federation: Federation,
  site: string,
  offer: Offer,
  end: { readonly over: boolean },
  closed: RoundsOptions['closed'],
): Promise<Outcome[]> {
  const all: Outcome[] = [];
  for (let number = 0; !end.over && number < MOST_TASKS_A_ROUND; number++) {
    const limits = { sites: [site], quorum: 0, silenceMs: SILENCE_MS, deadlineMs: DEADLINE_MS };
    const outcomes = await federation.gather(askOf(number, offer), limits);
    closed(site, outcomes[0]);
    all.push(...outcomes);
  }
  return all;
}
