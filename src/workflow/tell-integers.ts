// Tells at the start of a run which tensors are not averaged, before a round ends because of them.
import { listed } from '../core/listed.js';
import { DTYPES } from '../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import { type IntegerRule, isCounter } from './aggregate/integers.js';

/** Names that a message lists; the rest is counted. */
const NAMED = 3;

/**
 * The words about tensors on whose values all sites have to agree; undefined where there are none,
 * or where the rule of the job needs no agreement.
 */
export function integersNotice({ tensors }: Manifest, rule: IntegerRule): string | undefined {
  if (rule === 'previous' || rule === 'largest') return undefined;
  const bound = tensors.filter((tensor) => !DTYPES[tensor.dtype].quantizable && !(rule === 'counters' && isCounter(tensor)));
  if (bound.length === 0) return undefined;
  return `${listed(bound.map(described), NAMED)} cannot be averaged: a round ends where the sites return different values; if training changes them, say "integers": "previous" or "largest" in the job`;
}

function described({ name, dtype, shape }: TensorEntry): string {
  return `${name} (${dtype} [${shape.join(', ')}])`;
}
