// The tests' reference: the forward pass in plain TypeScript and float64. Finite differences of it
// give the gradients.
import { type Batch, IGNORED } from './batch.js';
import type { LlamaConfig } from './config.js';
import { biasName, EMBEDDING, FINAL_NORM, HEAD, layerName } from './parameters.js';
import { ropeFrequencies } from './rope-frequencies.js';

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
    const fed = normed(x, get(layerName(layer, 'post_attention_layernorm')), rmsEps).map((row) => feedForward(config, layer, get, row));
    x = x.map((row, i) => sum(row, fed[i] as Float64Array));
  }
  return normed(x, get(FINAL_NORM), rmsEps).map((row) => times(get(tied ? EMBEDDING : HEAD), row));
}

type Get = (name: string) => Float64Array;

function attention(config: LlamaConfig, layer: number, get: Get, x: Float64Array[]): Float64Array[] {
  const { heads, kvHeads, headDim, qkvBias, outputBias, qkNorm, rmsEps } = config;
  const project = (part: string): Float64Array[] => x.map((row) => projected(get, layer, `self_attn.${part}`, row, qkvBias));
  const normedHeads = (rows: Float64Array[], part: string): Float64Array[] =>
    qkNorm
      ? rows.map((row) =>
          byHead(row, headDim, (head) => normed([head], get(layerName(layer, `self_attn.${part}`)), rmsEps)[0] as Float64Array),
        )
      : rows;
  const turned = (rows: Float64Array[]): Float64Array[] =>
    config.unrotated?.[layer] ? rows : rows.map((row, position) => rotated(row, position, config));
  const q = turned(normedHeads(project('q_proj'), 'q_norm'));
  const k = turned(normedHeads(project('k_proj'), 'k_norm'));
  const v = project('v_proj');
  return x.map((_, i) => {
    const out = new Float64Array(heads * headDim);
    for (let h = 0; h < heads; h++) {
      const kv = Math.floor(h / (heads / kvHeads)) * headDim;
      const query = (q[i] as Float64Array).subarray(h * headDim, (h + 1) * headDim);
      const first = Math.max(0, i + 1 - (config.windows?.[layer] ?? i + 1));
      const scores = k.slice(first, i + 1).map((row) => dot(query, row.subarray(kv, kv + headDim)) / Math.sqrt(headDim));
      const max = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - max));
      const total = weights.reduce((a, b) => a + b, 0);
      for (const [j, weight] of weights.entries()) {
        for (let c = 0; c < headDim; c++)
          out[h * headDim + c] = (out[h * headDim + c] as number) + (weight / total) * ((v[first + j] as Float64Array)[kv + c] as number);
      }
    }
    return projected(get, layer, 'self_attn.o_proj', out, outputBias);
  });
}

function feedForward({ mlpBias }: LlamaConfig, layer: number, get: Get, x: Float64Array): Float64Array {
  const gate = projected(get, layer, 'mlp.gate_proj', x, mlpBias);
  const up = projected(get, layer, 'mlp.up_proj', x, mlpBias);
  const product = gate.map((g, i) => (g / (1 + Math.exp(-g))) * (up[i] as number));
  return projected(get, layer, 'mlp.down_proj', product, mlpBias);
}

/** w · x, and the bias of the part if it has one. */
function projected(get: Get, layer: number, part: string, x: Float64Array, bias = false): Float64Array {
  const product = times(get(layerName(layer, part)), x);
  return bias ? sum(product, get(biasName(layer, part))) : product;
}

function byHead(row: Float64Array, headDim: number, each: (head: Float64Array) => Float64Array): Float64Array {
  const out = new Float64Array(row.length);
  for (let at = 0; at < row.length; at += headDim) out.set(each(row.subarray(at, at + headDim)), at);
  return out;
}

function normed(x: readonly Float64Array[], w: Float64Array, eps: number): Float64Array[] {
  return x.map((row) => {
    const rstd = 1 / Math.sqrt(dot(row, row) / row.length + eps);
    return row.map((value, i) => value * rstd * (w[i] as number));
  });
}

/** The half-rotation convention of Hugging Face. */
function rotated(row: Float64Array, position: number, config: LlamaConfig): Float64Array {
  const { headDim, ropeTheta, ropeScaling } = config;
  const half = headDim / 2;
  // Scaled frequencies are compared with those of transformers elsewhere (test/golden).
  const { frequencies, attention } = ropeScaling
    ? ropeFrequencies(config)
    : { frequencies: Float64Array.from({ length: half }, (_, i) => ropeTheta ** (-(2 * i) / headDim)), attention: 1 };
  const out = new Float64Array(row.length);
  for (let i = 0; i < half; i++) {
    const angle = position * (frequencies[i] as number);
    const cosine = Math.cos(angle) * attention;
    const sine = Math.sin(angle) * attention;
    for (let low = i; low < row.length; low += headDim) {
      const [a, b] = [row[low] as number, row[low + half] as number];
      out[low] = a * cosine - b * sine;
      out[low + half] = b * cosine + a * sine;
    }
  }
  return out;
}

/** w [n, k] · x [k] */
function times(w: Float64Array, x: Float64Array): Float64Array {
  const out = new Float64Array(w.length / x.length);
  // Plain loops: finite differences call this some hundred thousand times.
  for (let n = 0, at = 0; n < out.length; n++) {
    let total = 0;
    for (let i = 0; i < x.length; i++) total += (w[at++] as number) * (x[i] as number);
    out[n] = total;
  }
  return out;
}

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i] as number) * (b[i] as number);
  return total;
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + (b[i] as number));
}
