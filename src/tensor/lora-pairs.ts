// The pairs of low-rank factors of a LoRA adapter, found by the names that PEFT gives them.
import { FedStreamError } from '../core/errors.js';
import type { Manifest, TensorEntry } from './manifest.js';

/**
 * The two factors of one module: its weight changes by `scaling × B × A`. A of a convolution is
 * taken as a matrix of its first side and the rest.
 */
export interface LoraPair {
  /** Names of the tensors, `….lora_A.weight` and `….lora_B.weight`. */
  readonly a: string;
  readonly b: string;
  /** A is [rank, inputs], B is [outputs, rank]. */
  readonly rank: number;
  readonly inputs: number;
  readonly outputs: number;
}

/** `lora_A` or `lora_embedding_A`, alone or with the name of an adapter and of a parameter behind it. */
const FACTOR = /^((?:.*\.)?)lora_(embedding_)?([AB])((?:\.[^.]+)*?(?:\.weight)?)$/;
const MAGNITUDE = /(?:^|\.)lora_magnitude_vector(?:\.|$)/;

/** Patterns of the names of A. */
export const FACTOR_A = ['*lora_A*', '*lora_embedding_A*'] as const;

/** The factor that a tensor is by its name: `A`, `B`, or undefined for another tensor. */
export function factorOf(name: string): 'A' | 'B' | undefined {
  return isBias(name) ? undefined : (FACTOR.exec(name)?.[3] as 'A' | 'B' | undefined);
}

/** True for a magnitude vector of DoRA (Liu et al. 2024). */
export function isMagnitude(name: string): boolean {
  return MAGNITUDE.test(name);
}

/** The name of the tensor that goes with a factor under another word: `….stack_A.weight`. */
export function besideFactor(name: string, word: string): string {
  const [, before = '', embedding = '', which = '', after = ''] = FACTOR.exec(name) ?? [];
  return `${before}${word}_${embedding}${which}${after}`;
}

/**
 * The pairs of a manifest, in the order of their first tensors; none of a model without an adapter.
 * Throws `bad-model`, naming the tensor, for a factor without the other, or of another rank.
 */
export function loraPairs({ tensors }: Manifest): LoraPair[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const pairs: LoraPair[] = [];
  const seen = new Set<string>();
  for (const { name } of tensors) {
    const factor = factorOf(name);
    if (factor === undefined) continue;
    const [, before, embedding = '', , after] = FACTOR.exec(name) as RegExpExecArray;
    const named = (which: string): string => `${before}lora_${embedding}${which}${after}`;
    const [a, b] = [byName.get(named('A')), byName.get(named('B'))];
    if (!a || !b)
      throw new FedStreamError(
        'bad-model',
        `${name} has no ${named(factor === 'A' ? 'B' : 'A')} beside it: a LoRA adapter has both factors`,
      );
    if (seen.has(a.name)) continue;
    seen.add(a.name);
    pairs.push(pairOf(a, b));
  }
  return pairs;
}

function isBias(name: string): boolean {
  return name.endsWith('.bias');
}

function pairOf(a: TensorEntry, b: TensorEntry): LoraPair {
  const [rank = 0, ...rest] = a.shape;
  const [outputs = 0, columns = 0, ...further] = b.shape;
  const fits = rank > 0 && columns === rank && a.shape.length > 1 && further.every((side) => side === 1);
  if (!fits)
    throw new FedStreamError(
      'bad-model',
      `${a.name} [${a.shape.join(', ')}] and ${b.name} [${b.shape.join(', ')}] are no factors of one product: the first side of A is the second of B`,
    );
  return { a: a.name, b: b.name, rank, inputs: rest.reduce((product, side) => product * side, 1), outputs };
}
