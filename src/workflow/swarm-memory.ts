// What the coordinator of a swarm remembers from round to round, committed with each: some text, no
// part of a model.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { ModelStore } from './federation.js';
import type { SwarmMemory } from './swarm-sites.js';

const NAME = 'swarm';
const TENSOR = 'json';

const memorySchema = z.strictObject({ label: z.string(), held: z.string(), refused: z.array(z.string()) });

/** The memory as it was last committed; empty before the first round. */
export async function readMemory(models: ModelStore): Promise<SwarmMemory> {
  if (!(await models.names()).includes(NAME)) return { label: '', held: '', refused: [] };
  const kept = await models.open(NAME);
  let text = '';
  const decoder = new TextDecoder();
  for await (const { bytes } of kept.chunks()) text += decoder.decode(bytes, { stream: true });
  await kept.close?.();
  try {
    return memorySchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new FedStreamError('io', 'the state of the swarm cannot be read; start a new run', { cause });
  }
}

/** Writes the memory; the next commit makes it count. */
export async function writeMemory(models: ModelStore, memory: SwarmMemory): Promise<void> {
  const data = new TextEncoder().encode(JSON.stringify(memory));
  const written = await models.write(NAME, memoryStateDict([{ name: TENSOR, dtype: 'U8', shape: [data.length], data }]));
  await written.close?.();
}
