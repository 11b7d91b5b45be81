// An adapter and the stack beside its base as one adapter of a larger rank, which PEFT loads as any
// other.
import { FedStreamError } from '../core/errors.js';
import { tensorRange } from './chunks.js';
import { besideFactor, factorOf, type LoraPair, loraPairs } from './lora-pairs.js';
import { manifestOfRank } from './lora-rank.js';
import { STACK } from './lora-stack.js';
import type { Manifest, TensorEntry } from './manifest.js';
import type { StateDict } from './state-dict.js';
import { chunksOfTensors, placeOf, tensorValues } from './tensor-values.js';

/** An adapter and its `adapter_config.json`. */
export interface StackedAdapter {
  readonly model: StateDict;
  readonly config: string;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * The adapter whose products are `scaling × (B A + stack)`: directions of the stack follow those of
 * the adapter, all scaled already, so that its own scaling is 1 (`lora_alpha` = `r`). Raw float32,
 * lazy, one tensor in memory. Throws `unsupported` for a configuration whose scalings are not known.
 */
export function stackedAdapter(adapter: StateDict, stack: StateDict, config: string): StackedAdapter {
  const fields = JSON.parse(config) as Fields;
  const pairs = new Map(loraPairs(adapter.manifest).flatMap((pair) => [[pair.a, pair] as const, [pair.b, pair] as const]));
  const rank = Math.max(...[...pairs.values()].map((pair) => pair.rank + termsOf(stack.manifest, pair)));
  const manifest = manifestOfRank(adapter.manifest, rank);
  const valuesOf = (index: number, skipped: number) => {
    const { name } = manifest.tensors[index] as TensorEntry;
    const pair = pairs.get(name);
    if (pair)
      return factorOf(name) === 'A' ? rowsOf(adapter, stack, pair, rank) : columnsOf(adapter, stack, pair, rank, scalingOf(fields, pair));
    const { first, end } = tensorRange(adapter.manifest, index);
    return adapter.chunks({ first: first + skipped, end });
  };
  const stacked = { ...fields, r: rank, lora_alpha: rank, use_rslora: false, rank_pattern: {}, alpha_pattern: {} };
  const close = async (): Promise<void> => {
    await adapter.close?.();
    await stack.close?.();
  };
  const model = { manifest, chunks: (range?: Parameters<StateDict['chunks']>[0]) => chunksOfTensors(manifest, valuesOf, range), close };
  return { model, config: `${JSON.stringify(stacked, null, 2)}\n` };
}

function termsOf({ tensors }: Manifest, { a }: LoraPair): number {
  const place = placeOf({ tensors } as Manifest, besideFactor(a, STACK));
  return place === undefined ? 0 : (tensors[place]?.shape[0] ?? 0);
}

/** A of the pair, then that of the stack, then zeros: [rank, inputs]. */
async function rowsOf(adapter: StateDict, stack: StateDict, { a, inputs, rank: own }: LoraPair, rank: number): Promise<Float32Array> {
  const into = new Float32Array(rank * inputs);
  into.set(await tensorValues(adapter, a));
  const name = besideFactor(a, STACK);
  if (placeOf(stack.manifest, name) !== undefined) into.set(await tensorValues(stack, name), own * inputs);
  return into;
}

/** B of the pair, then that of the stack, both scaled, then zeros: [outputs, rank]. */
async function columnsOf(adapter: StateDict, stack: StateDict, pair: LoraPair, rank: number, scaling: number): Promise<Float32Array> {
  const { b, outputs, rank: own } = pair;
  const into = new Float32Array(outputs * rank);
  const place = (values: Float32Array, first: number): void => {
    const count = values.length / outputs;
    for (let i = 0; i < outputs; i++)
      for (let j = 0; j < count; j++) into[i * rank + first + j] = scaling * (values[i * count + j] as number);
  };
  place(await tensorValues(adapter, b), 0);
  const name = besideFactor(b, STACK);
  if (placeOf(stack.manifest, name) !== undefined) place(await tensorValues(stack, name), own);
  return into;
}

/** PEFT's scaling of a module: alpha / r, or alpha / √r with rsLoRA (Kalajdzievski 2023). */
function scalingOf(config: Fields, { a, rank }: LoraPair): number {
  const alpha = alphaOf(config, a);
  if (typeof alpha !== 'number' || !Number.isFinite(alpha))
    throw new FedStreamError('unsupported', 'adapter_config.json has no lora_alpha, so that the scaling of the stack is not known');
  return alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank);
}

/** A module's own alpha: the patterns are names, whole or from a dot on; others are not followed. */
function alphaOf({ lora_alpha: alpha, alpha_pattern: patterns }: Fields, a: string): unknown {
  const module = a.replace(/\.lora_(embedding_)?A\..*$/, '');
  for (const [pattern, own] of Object.entries((patterns ?? {}) as Fields)) {
    if (!/^[\w.-]+$/.test(pattern))
      throw new FedStreamError(
        'unsupported',
        `alpha_pattern has ${JSON.stringify(pattern.slice(0, 80))}; an adapter with a stack is written for names of modules alone`,
      );
    if (module === pattern || module.endsWith(`.${pattern}`)) return own;
  }
  return alpha;
}
