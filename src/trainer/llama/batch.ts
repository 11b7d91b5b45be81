// A micro-batch of token sequences: checked, and written to the memory that the threads read.
import { FedStreamError } from '../../core/errors.js';
import type { Arena, ArenaSize } from './arena.js';
import type { LlamaConfig } from './config.js';
import type { MicroBatch } from './forward.js';

/** Sequences of one length, padded at their ends. */
export interface Batch {
  /** [batch, sequence] */
  readonly tokens: Int32Array;
  /** [batch, sequence]: the token that should follow, or `IGNORED` if it does not count. */
  readonly targets: Int32Array;
  readonly batch: number;
  readonly sequence: number;
}

/** The target of positions that do not count, as in torch.nn.CrossEntropyLoss. */
export const IGNORED = -100;

/**
 * Writes tokens, targets and the rows that have one; returns the sizes that the threads need.
 * Throws `bad-argument` if the batch does not fit, `bad-data` for a token outside of the
 * vocabulary.
 */
export function writeBatch(batch: Batch, config: LlamaConfig, size: ArenaSize, arena: Arena, memory: WebAssembly.Memory): MicroBatch {
  const rows = batch.batch * batch.sequence;
  if (batch.batch > size.maxBatch || batch.sequence > size.maxSequence || batch.tokens.length !== rows || batch.targets.length !== rows) {
    const given = `${batch.batch} × ${batch.sequence}`;
    throw new FedStreamError(
      'bad-argument',
      `a batch of ${given} does not fit; the trainer was made for ${size.maxBatch} × ${size.maxSequence}`,
    );
  }
  const tokens = new Int32Array(memory.buffer, arena.tokens, rows);
  const targets = new Int32Array(memory.buffer, arena.targets, rows);
  const targetRows = new Int32Array(memory.buffer, arena.targetRows, rows);
  let count = 0;
  for (let row = 0; row < rows; row++) {
    const token = batch.tokens[row] as number;
    const target = batch.targets[row] as number;
    checkToken(token, config);
    tokens[row] = token;
    if (target === IGNORED) continue;
    checkToken(target, config);
    targets[count] = target;
    targetRows[count++] = row;
  }
  return { batch: batch.batch, sequence: batch.sequence, targets: count };
}

function checkToken(token: number, { vocabularySize }: LlamaConfig): void {
  if (token >= 0 && token < vocabularySize) return;
  throw new FedStreamError(
    'bad-model',
    `token ${token} is outside of the model's vocabulary of ${vocabularySize}; the tokenizer does not belong to this model`,
  );
}
