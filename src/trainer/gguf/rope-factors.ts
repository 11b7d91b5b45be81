// Finds the scaling of Llama 3's rotary embedding from the factors that llama.cpp computed of it.

/** The scalings of the releases 3.1 (8) and 3.2 (32). */
const FACTORS = [8, 32];
const LOW = 1;
const HIGH = 4;
const POSITIONS = 8192;
/** llama.cpp computes in float32. */
const CLOSE = 1e-4;

/** `rope_scaling` of `config.json`, or undefined where no release has these factors. */
export function llama3Scaling(factors: Float32Array, theta: number): object | undefined {
  const factor = FACTORS.find((one) => factors.every((value, i) => Math.abs(value / factorAt(i, factors.length, theta, one) - 1) < CLOSE));
  if (factor === undefined) return undefined;
  return { rope_type: 'llama3', factor, low_freq_factor: LOW, high_freq_factor: HIGH, original_max_position_embeddings: POSITIONS };
}

/** The factor of one frequency, as `convert_hf_to_gguf.py` computes it (Llama 3.1, `rope_type: llama3`). */
function factorAt(index: number, count: number, theta: number, factor: number): number {
  const length = 2 * Math.PI * theta ** (index / count);
  if (length < POSITIONS / HIGH) return 1;
  if (length > POSITIONS / LOW) return factor;
  const smooth = (POSITIONS / length - LOW) / (HIGH - LOW);
  return 1 / ((1 - smooth) / factor + smooth);
}
