// Filters that leave tensors out by name pattern: `exclude` and `include`.
import picomatch from 'picomatch';
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { row } from '../core/row.js';
import type { TensorEntry } from '../tensor/manifest.js';
import { selectTensors } from '../tensor/select-tensors.js';
import { bytesless, type StateDict } from '../tensor/state-dict.js';
import type { Filter } from './filter.js';

const patternsSchema = z.strictObject({ patterns: z.array(z.string().min(1)).min(1) });

/**
 * Leaves out the tensors whose name matches one of the glob patterns (`*norm*`,
 * `model.layers.0.**`).
 */
export function exclude(patterns: readonly string[]): Filter {
  const matches = matcher(patterns);
  return selection((tensor) => !matches(tensor), `exclude ${patterns.join(', ')}`);
}

/** Keeps only the tensors whose name matches one of the glob patterns. */
export function include(patterns: readonly string[]): Filter {
  return selection(matcher(patterns), `include ${patterns.join(', ')}`);
}

/** The row `exclude`, with the option `patterns`. */
export const excludeRow = row('exclude', patternsSchema, ({ patterns }) => exclude(patterns));
/** The row `include`, with the option `patterns`. */
export const includeRow = row('include', patternsSchema, ({ patterns }) => include(patterns));

function selection(keep: (tensor: TensorEntry) => boolean, what: string): Filter {
  const apply = (model: StateDict): StateDict => nonEmpty(selectTensors(model, keep), what);
  return { on: 'either', manifest: (manifest) => apply(bytesless(manifest)).manifest, apply };
}

function matcher(patterns: readonly string[]): (tensor: TensorEntry) => boolean {
  if (patterns.length === 0) throw new FedStreamError('bad-argument', 'a filter by name needs at least one pattern, such as "*norm*"');
  const test = picomatch([...patterns], { dot: true });
  return (tensor) => test(tensor.name);
}

function nonEmpty(model: StateDict, what: string): StateDict {
  if (model.manifest.tensors.length > 0) return model;
  throw new FedStreamError(
    'bad-argument',
    `the filter "${what}" leaves no tensor; check its patterns against \`fedstream inspect\` of the model`,
  );
}
