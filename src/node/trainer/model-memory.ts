// The memory of a model that is to be trained, compared with the machine's before any is taken.
import { totalmem } from 'node:os';
import { FedStreamError } from '../../core/errors.js';
import { type ArenaSize, layOutArena } from '../../trainer/llama/arena.js';
import type { LlamaConfig } from '../../trainer/llama/config.js';

/** The share of a machine's memory that a model may take, where its owner states no limit. */
const SHARE = 0.8;

/** Throws `limit`, with the size and the limit, for a model that takes more than is allowed. */
export function checkMemory(config: LlamaConfig, size: ArenaSize, mostBytes = machineBytes() * SHARE): void {
  const { totalBytes } = layOutArena(config, size);
  if (totalBytes <= mostBytes) return;
  throw new FedStreamError(
    'limit',
    `training this model needs ${gib(totalBytes)} GiB, and this machine allows ${gib(mostBytes)} GiB (limits.mostMemoryBytes, docs/site.md); use a smaller batchSize or maxTokens, or a smaller model`,
  );
}

/** The memory of the machine, or of the container that the process may not leave. */
function machineBytes(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}
