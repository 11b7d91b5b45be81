// The initial model of a job: a folder, an offer of a site, or a configuration of the built-in trainer.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';

const positive = z.number().positive();
const count = z.int().min(1);

/** The schema of `model`. */
export const modelSchema = z.union(
  [
    z.literal('offered'),
    z.strictObject({ path: z.string().min(1), variant: z.string().min(1).max(64).optional() }),
    z.strictObject({
      hiddenSize: count.max(16_384).default(128),
      layers: count.max(256).default(4),
      heads: count.max(256).default(4),
      kvHeads: count.max(256).default(2),
      ffnSize: count.max(65_536).default(352),
      /** Size of the byte-level BPE vocabulary, trained on the job's own data. */
      vocabularySize: z.int().min(264).max(200_000).default(1024),
      tied: z.boolean().default(true),
      ropeTheta: positive.default(10_000),
      rmsEps: positive.default(1e-5),
    }),
  ],
  {
    error:
      'must be {"path": "a Hugging Face folder"}, "offered" (with a trainer), or a configuration of hiddenSize, layers, heads, kvHeads, ffnSize, vocabularySize, tied, ropeTheta, rmsEps',
  },
);

type JobModel = z.output<typeof modelSchema>;

/**
 * Checks that the model fits the trainer. A trainer of the sites' own brings its own architecture,
 * so its model is a folder or a site's offer.
 */
export function checkModel(model: JobModel, trainer: { readonly name: string } | undefined, source: string): void {
  if (model === 'offered' && !trainer)
    throw new FedStreamError('bad-job', `${source}: model: the built-in trainer has none to offer; give a folder, or name a trainer`);
  if (model === 'offered' || 'path' in model) return;
  if (trainer)
    throw new FedStreamError(
      'bad-job',
      `${source}: model: a configuration is for the built-in trainer; for ${trainer.name} give a folder, or "offered"`,
    );
  if (model.heads % model.kvHeads !== 0)
    throw new FedStreamError('bad-job', `${source}: model.kvHeads: ${model.heads} heads cannot share ${model.kvHeads}`);
  if ((model.hiddenSize / model.heads) % 2 !== 0)
    throw new FedStreamError('bad-job', `${source}: model.heads: hiddenSize / heads must be an even number, for the rotary embedding`);
}

/** The job as it was written, whose model is `offered` where it names a trainer and no model. */
export function withModel(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || !('trainer' in value) || value.trainer === undefined || 'model' in value) return value;
  return { ...value, model: 'offered' };
}
