// The tests' reference: the forward pass in plain TypeScript and float64. Finite differences of it
// give the gradients.
import { type Batch, IGNORED } from './batch.js';
import type { LlamaConfig } from './config.js';
import { EMBEDDING, FINAL_NORM, HEAD, layerName } from './parameters.js';

/** Weights by name, row-major. */
export type ReferenceWeights = ReadonlyMap<string, Float64Array>;

/** Mean cross-entropy per target token, in nats. */
export function referenceLoss(config: LlamaConfig, weights: ReferenceWeights, batch: Batch): number {
  let sum = 0;
  let count = 0;
  for (let b = 0; b < batch.batch; b++) {
    const tokens = batch.tokens.subarray(b * batch.sequence, (b + 1) * batch.sequence);
    const logits = referenceLogits(config, weights, tokens);
    for (const [position, row] of logits.entries()) {
      const target = batch.targets[b * batch.sequence + position] as number;
      if (target === IGNORED) continue;
      const max = Math.max(...row);
      sum += Math.log(row.reduce((total, x) => total + Math.exp(x - max), 0)) + max - (row[target] as number);
      count++;
    }
  }
  return sum / count;
}

/** Logits of each position of a sequence, [sequence][vocabulary]. */
export function referenceLogits(config: LlamaConfig, weights: ReferenceWeights, tokens: Int32Array): Float64Array[] {
  const { hiddenSize: d, layers, tied, rmsEps } = config;
  const get = (name: string): Float64Array => weights.get(name) as Float64Array;
  let x: Float64Array[] = Array.from(tokens, (token) => get(EMBEDDING).slice(token * d, (token + 1) * d));
  for (let layer = 0; layer < layers; layer++) {
    const attended = attention(config, layer, get, normed(x, get(layerName(layer, 'input_layernorm')), rmsEps));
    x = x.map((row, i) => sum(row, attended[i] as Float64Array));
    const fed = normed(x, get(layerName(layer, 'post_attention_layernorm')), rmsEps).map((row) => feedForward(layer, get, row));
    x = x.map((row, i) => sum(row, fed[i] as Float64Array));
  }
  return normed(x, get(FINAL_NORM), rmsEps).map((row) => times(get(tied ? EMBEDDING : HEAD), row));
}

type Get = (name: string) => Float64Array;

function attention(config: LlamaConfig, layer: number, get: Get, x: Float64Array[]): Float64Array[] {
  const { heads, kvHeads, headDim, ropeTheta } = config;
  const project = (part: string): Float64Array[] => x.map((row) => times(get(layerName(layer, `self_attn.${part}`)), row));
  const q = project('q_proj').map((row, position) => rotated(row, position, headDim, ropeTheta));
  const k = project('k_proj').map((row, position) => rotated(row, position, headDim, ropeTheta));
  const v = project('v_proj');
  return x.map((_, i) => {
    const out = new Float64Array(heads * headDim);
    for (let h = 0; h < heads; h++) {
      const kv = Math.floor(h / (heads / kvHeads)) * headDim;
      const query = (q[i] as Float64Array).subarray(h * headDim, (h + 1) * headDim);
      const scores = k.slice(0, i + 1).map((row) => dot(query, row.subarray(kv, kv + headDim)) / Math.sqrt(headDim));
      const max = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - max));
      const total = weights.reduce((a, b) => a + b, 0);
      for (const [j, weight] of weights.entries()) {
        for (let c = 0; c < headDim; c++)
          out[h * headDim + c] = (out[h * headDim + c] as number) + (weight / total) * ((v[j] as Float64Array)[kv + c] as number);
      }
    }
    return times(get(layerName(layer, 'self_attn.o_proj')), out);
  });
}

function feedForward(layer: number, get: Get, x: Float64Array): Float64Array {
  const gate = times(get(layerName(layer, 'mlp.gate_proj')), x);
  const up = times(get(layerName(layer, 'mlp.up_proj')), x);
  const product = gate.map((g, i) => (g / (1 + Math.exp(-g))) * (up[i] as number));
  return times(get(layerName(layer, 'mlp.down_proj')), product);
}

function normed(x: readonly Float64Array[], w: Float64Array, eps: number): Float64Array[] {
  return x.map((row) => {
    const rstd = 1 / Math.sqrt(dot(row, row) / row.length + eps);
    return row.map((value, i) => value * rstd * (w[i] as number));
  });
}

/** The half-rotation convention of Hugging Face. */
function rotated(row: Float64Array, position: number, headDim: number, theta: number): Float64Array {
  const half = headDim / 2;
  return row.map((value, at) => {
    const i = at % headDim;
    const angle = position * theta ** (-(2 * (i % half)) / headDim);
    const other = row[i < half ? at + half : at - half] as number;
    return value * Math.cos(angle) + (i < half ? -other : other) * Math.sin(angle);
  });
}

/** w [n, k] · x [k] */
function times(w: Float64Array, x: Float64Array): Float64Array {
  return Float64Array.from({ length: w.length / x.length }, (_, n) => dot(w.subarray(n * x.length, (n + 1) * x.length), x));
}

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i] as number) * (b[i] as number);
  return total;
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + (b[i] as number));
}
