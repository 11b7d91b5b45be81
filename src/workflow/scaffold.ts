// SCAFFOLD (Karimireddy et al. 2020): control variates correct each site's steps for the drift
// towards its own data.
import { z } from 'zod';
import { row } from '../core/row.js';
import { sumModel } from '../exchange/reduce.js';
import type { StateDict } from '../tensor/state-dict.js';
import { zerosLike } from '../tensor/zeros.js';
import { type Aggregating, aggregated, contributionsOf } from './aggregate/aggregated.js';
import type { Federation, Workflow } from './federation.js';
import { inRounds } from './in-rounds.js';
import { trainRound } from './train-round.js';

/**
 * The extra that carries the server's control variate `c` to the sites, and the change of each
 * site's own back.
 */
const CONTROL = 'control';

/**
 * Sites train with gradients `g − c_i + c` and send back the change of their `c_i`; then `c += (sum
 * of the changes) / (all sites)`, in float32 and in the order of names. The model is aggregated as
 * the job says. Needs trainers that know the extra `control`; the built-in one does.
 */
export function scaffold(aggregating: Aggregating): Workflow {
  return (federation) =>
    inRounds(federation, async (input) => {
      const { previous } = input;
      const { codecs, models, sites } = federation;
      const control = await controlOf(federation, previous);
      const returnsExtras = { [CONTROL]: control.manifest };
      const outcomes = await trainRound(input, federation, { extras: { [CONTROL]: control }, returnsExtras });
      const model = await aggregated(aggregating, outcomes, previous, federation);
      const weight = Math.fround(1 / sites.length);
      const addends = contributionsOf(outcomes).map(({ extras }) => ({ model: extras?.[CONTROL] as StateDict, weight }));
      const next = await models.write(CONTROL, sumModel({ addends, base: control, codecs, what: 'the control variate' }));
      await next.close?.();
      await control.close?.();
      return { outcomes, model };
    });
}

async function controlOf({ models }: Federation, model: StateDict): Promise<StateDict> {
  return (await models.names()).includes(CONTROL) ? models.open(CONTROL) : zerosLike(model.manifest);
}

/** The row `scaffold`; it has no options. */
export const scaffoldRow = row('scaffold', z.strictObject({}), () =>
  Object.assign((aggregating: Aggregating) => scaffold(aggregating), { averages: 'the control variates' }),
);
