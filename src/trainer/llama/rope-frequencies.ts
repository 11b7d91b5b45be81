// The frequencies of rotary embeddings and the table of their angles, with the float32 arithmetic of
// transformers (modeling_rope_utils.py).
import { FedStreamError } from '../../core/errors.js';
import type { LlamaConfig } from './config.js';
import type { RopeScaling } from './rope.js';

const { fround } = Math;

type Of<Kind extends RopeScaling['rope_type']> = Extract<RopeScaling, { rope_type: Kind }>;

/** Frequencies [headDim / 2] in radians a position, and what cosine and sine are multiplied by. */
export interface RopeFrequencies {
  readonly frequencies: Float32Array;
  readonly attention: number;
}

/** What the frequencies of a model depend on. */
export type Rotary = Pick<LlamaConfig, 'headDim' | 'ropeTheta' | 'ropeScaling' | 'maxPositions'>;

/** The frequencies of a model; throws `bad-model` if the settings make none. */
export function ropeFrequencies(config: Rotary): RopeFrequencies {
  const found = frequenciesOf(config);
  if (![...found.frequencies, found.attention].every(Number.isFinite))
    throw new FedStreamError(
      'bad-model',
      'the settings of the rotary embeddings make frequencies that are no numbers; look at rope_theta and factor',
    );
  return found;
}

function frequenciesOf({ headDim, ropeTheta, ropeScaling, maxPositions }: Rotary): RopeFrequencies {
  const periods = Float32Array.from({ length: headDim / 2 }, (_, i) => ropeTheta ** fround((2 * i) / headDim));
  const plain = periods.map((period) => 1 / period);
  switch (ropeScaling?.rope_type) {
    case 'linear': {
      const { factor } = ropeScaling;
      return { frequencies: plain.map((frequency) => frequency / factor), attention: 1 };
    }
    case 'llama3':
      return { frequencies: plain.map((frequency) => llama3(frequency, ropeScaling)), attention: 1 };
    case 'yarn':
      return yarn(periods, ropeTheta, headDim, maxPositions, ropeScaling);
    case 'longrope':
      return longrope(periods, maxPositions, ropeScaling);
    default:
      // A dynamic scaling begins beyond the positions of the model, where `checkPositions` ends.
      return { frequencies: plain, attention: 1 };
  }
}

/** Long waves are stretched by the factor, short ones are kept, and those between are mixed. */
function llama3(frequency: number, scaling: Of<'llama3'>): number {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  const wave = fround((2 * Math.PI) / frequency);
  if (wave < original / high) return frequency;
  if (wave > original / low) return fround(frequency / factor);
  const smooth = fround(fround(fround(original / wave) - low) / (high - low));
  const stretched = fround(fround(fround(1 - smooth) * frequency) / factor);
  return fround(stretched + fround(smooth * frequency));
}

/** Peng et al. 2023: between two dimensions, waves go over from kept to stretched. */
function yarn(periods: Float32Array, theta: number, headDim: number, maxPositions: number, scaling: Of<'yarn'>): RopeFrequencies {
  const { mscale, mscale_all_dim: mscaleAll, truncate, original_max_position_embeddings: original } = scaling;
  const factor = scaling.factor ?? maxPositions / original;
  const magnitude = (scale: number, by = 1): number => (scale <= 1 ? 1 : 0.1 * by * Math.log(scale) + 1);
  const inferred = mscale && mscaleAll ? magnitude(factor, mscale) / magnitude(factor, mscaleAll) : magnitude(factor);
  const dimensionOf = (rotations: number): number => (headDim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const from = dimensionOf(scaling.beta_fast || 32);
  const to = dimensionOf(scaling.beta_slow || 1);
  const low = Math.max(truncate ? Math.floor(from) : from, 0);
  const high = Math.min(truncate ? Math.ceil(to) : to, headDim - 1);
  const width = high === low ? 0.001 : high - low;
  const frequencies = periods.map((period, i) => {
    const ramp = Math.min(Math.max(fround(fround(i - low) / width), 0), 1);
    const kept = fround(1 - ramp);
    const stretched = fround(1 / fround(factor * period));
    return fround(fround(stretched * fround(1 - kept)) + fround(fround(1 / period) * kept));
  });
  return { frequencies, attention: scaling.attention_factor ?? inferred };
}

/** Ding et al. 2024, within the positions of the pretraining: a factor for each frequency. */
function longrope(periods: Float32Array, maxPositions: number, scaling: Of<'longrope'>): RopeFrequencies {
  const { short_factor, long_factor, original_max_position_embeddings: original } = scaling;
  for (const [name, { length }] of Object.entries({ short_factor, long_factor }))
    if (length !== periods.length)
      throw new FedStreamError(
        'bad-model',
        `${name} of the rotary embeddings has ${length} values; heads of this width need ${periods.length}`,
      );
  const factor = scaling.factor ?? maxPositions / original;
  const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  const frequencies = periods.map((period, i) => 1 / fround(fround(short_factor[i] as number) * period));
  return { frequencies, attention: scaling.attention_factor ?? inferred };
}

/** The table of the kernels, [sequence, headDim / 2, 2]: cosine and sine of position × frequency. */
export function writeRotaryTable(config: LlamaConfig, table: Float32Array): void {
  const { frequencies, attention } = ropeFrequencies(config);
  const half = frequencies.length;
  for (let at = 0; at < table.length / 2; at++) {
    const angle = fround(Math.floor(at / half) * (frequencies[at % half] as number));
    table[2 * at] = fround(Math.cos(angle)) * attention;
    table[2 * at + 1] = fround(Math.sin(angle)) * attention;
  }
}
