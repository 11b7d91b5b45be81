// Rotary position embedding: its settings in `config.json`, old (`rope_scaling`) and new
// (`rope_parameters`), and the frequencies that they make.
import { z } from 'zod';
import { FedStreamError } from '../../core/errors.js';
import { isOff, shown } from './known-fields.js';

const factor = z.number().positive();
const positions = z
  .int()
  .min(1)
  .max(2 ** 30);
const factors = z.array(factor).min(1).max(4096);

/** The kinds of scaling, with the fields that each reads; names as in transformers. */
const scalingSchema = z.discriminatedUnion('rope_type', [
  z.object({ rope_type: z.literal('default') }),
  z.object({ rope_type: z.literal('linear'), factor }),
  z.object({ rope_type: z.literal('dynamic'), factor }),
  z.object({
    rope_type: z.literal('llama3'),
    factor,
    low_freq_factor: factor,
    high_freq_factor: factor,
    original_max_position_embeddings: positions,
  }),
  z.object({
    rope_type: z.literal('yarn'),
    factor: factor.nullable(),
    attention_factor: factor.nullish(),
    beta_fast: factor.nullish(),
    beta_slow: factor.nullish(),
    mscale: z.number().min(0).nullish(),
    mscale_all_dim: z.number().min(0).nullish(),
    truncate: z.boolean().default(true),
    original_max_position_embeddings: positions,
  }),
  z.object({
    rope_type: z.literal('longrope'),
    short_factor: factors,
    long_factor: factors,
    factor: factor.nullish(),
    attention_factor: factor.nullish(),
    original_max_position_embeddings: positions,
  }),
]);

/** A scaling of rotary embeddings, as `rope_parameters` of transformers says it. */
export type RopeScaling = z.infer<typeof scalingSchema>;

const KINDS = scalingSchema.options.map(({ shape }) => shape.rope_type.value);
/** Fields that every kind may have, and that only some kinds read. */
const COMMON: ReadonlySet<string> = new Set(['rope_type', 'type', 'rope_theta', 'original_max_position_embeddings', 'finetuned']);
/** Values that change nothing where a kind does not read the field. */
const NEUTRAL: Readonly<Record<string, unknown>> = { factor: 1, partial_rotary_factor: 1, attention_factor: 1 };

/** The parts of a `config.json` that rotary embeddings read. */
export interface RopeFields {
  readonly rope_theta?: number | null | undefined;
  readonly rope_parameters?: unknown;
  readonly rope_scaling?: unknown;
  readonly original_max_position_embeddings?: number | null | undefined;
}

/** What an architecture gives where `config.json` says nothing. */
export interface RopeDefaults {
  readonly theta: number;
  readonly maxPositions: number;
}

interface Rope {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

/**
 * Reads base and scaling of the rotary embeddings. Throws `bad-model` for a kind or a field that is
 * not known, and where two places of the file disagree: versions of transformers differ in the one
 * that they believe.
 */
export function readRope(fields: RopeFields, defaults: RopeDefaults, source: string): Rope {
  const given = (['rope_parameters', 'rope_scaling'] as const).filter((name) => !isOff(fields[name]));
  const [first, second] = given.map((name) => readOne(name, fields, defaults, source));
  if (!first) return { theta: fields.rope_theta ?? defaults.theta, scaling: { rope_type: 'default' } };
  if (second && JSON.stringify(first) !== JSON.stringify(second))
    throw new FedStreamError(
      'bad-model',
      `${source}: rope_parameters and rope_scaling disagree; keep the one that the model was trained with`,
    );
  return first;
}

function readOne(name: 'rope_parameters' | 'rope_scaling', fields: RopeFields, defaults: RopeDefaults, source: string): Rope {
  const refuse = (text: string): never => {
    throw new FedStreamError('bad-model', `${source}: ${name}${text}`);
  };
  const given = fields[name];
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return refuse(` is ${shown(given)}; an object is needed`);
  const { rope_type, type, rope_theta, ...rest } = given as Record<string, unknown>;
  if (!isOff(rope_type) && !isOff(type) && rope_type !== type)
    refuse(` has rope_type ${shown(rope_type)} and type ${shown(type)}; keep one`);
  const theta = rope_theta ?? fields.rope_theta ?? defaults.theta;
  if (typeof theta !== 'number' || !(theta > 0) || !Number.isFinite(theta))
    return refuse(`.rope_theta is ${shown(theta)}; it has to be above 0`);
  if (fields.rope_theta != null && theta !== fields.rope_theta)
    refuse(`.rope_theta is ${theta}, and rope_theta beside it is ${fields.rope_theta}; keep the one that the model was trained with`);
  const kind = isOff(rope_type) ? (isOff(type) ? 'default' : type) : rope_type;
  if (!(KINDS as readonly unknown[]).includes(kind))
    refuse(`: rope_type ${shown(kind)} is not known to the built-in trainer; it has ${KINDS.join(', ')}`);
  // The one beside the object counts before the one in it, as in transformers.
  const original = fields.original_max_position_embeddings ?? rest.original_max_position_embeddings ?? defaults.maxPositions;
  const parsed = scalingSchema.safeParse({ ...rest, rope_type: kind, original_max_position_embeddings: original });
  if (!parsed.success) {
    const issue = parsed.error.issues[0] as z.core.$ZodIssue;
    return refuse(`.${issue.path.join('.')}: ${issue.message}`);
  }
  const scaling = parsed.data;
  const unknown = Object.keys(rest).find((key) => !(key in scaling || COMMON.has(key) || isOff(rest[key]) || NEUTRAL[key] === rest[key]));
  if (unknown !== undefined)
    refuse(
      `.${unknown} is ${shown(rest[unknown])}, which rope_type ${shown(kind)} does not read; remove it, or name the rope_type that does`,
    );
  if (scaling.rope_type === 'llama3' && scaling.high_freq_factor <= scaling.low_freq_factor)
    refuse(`.high_freq_factor is ${scaling.high_freq_factor}; it has to be above low_freq_factor, which is ${scaling.low_freq_factor}`);
  return { theta, scaling };
}
