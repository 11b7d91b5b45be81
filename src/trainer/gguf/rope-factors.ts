// Finds the scaling of Llama 3's rotary embedding from the factors that llama.cpp computed of it.
import { ropeFrequencies } from '../llama/rope-frequencies.js';

/** The scalings of the releases 3.1 (8) and 3.2 (32). */
const SCALINGS = [8, 32].map((factor) => ({
  rope_type: 'llama3' as const,
  factor,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
}));
/** llama.cpp computes in float32. */
const CLOSE = 1e-4;

/** `rope_scaling` of `config.json`, or undefined where no release has these factors. */
export function llama3Scaling(factors: Float32Array, theta: number): object | undefined {
  const rotary = { headDim: 2 * factors.length, ropeTheta: theta, maxPositions: 0 };
  const plain = ropeFrequencies(rotary).frequencies;
  return SCALINGS.find((ropeScaling) => {
    const { frequencies } = ropeFrequencies({ ...rotary, ropeScaling });
    // As `convert_hf_to_gguf.py` has it, a factor divides the frequency.
    return factors.every((factor, i) => Math.abs((factor * (frequencies[i] as number)) / (plain[i] as number) - 1) < CLOSE);
  });
}
