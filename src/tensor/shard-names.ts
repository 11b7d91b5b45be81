// Names of shards as Hugging Face gives them (`model-00001-of-00003.safetensors`), and which of a set are missing.
import { FedStreamError } from '../core/errors.js';
import { listed } from '../core/listed.js';

const SHARD = /^(.*)-(\d{5})-of-(\d{5})(\..+)$/;
const MOST_NAMED = 5;

/**
 * The shards among some files in their order, if all files are shards of one model; undefined where
 * none is. Throws `bad-model` that names those that are missing.
 */
export function completeShards(files: readonly string[], label: string): string[] | undefined {
  const parts = files.map((name) => SHARD.exec(name));
  const [first] = parts;
  if (!first || parts.some((part) => part?.[1] !== first[1] || part?.[3] !== first[3])) return undefined;
  const there = new Set(files);
  const count = Number(first[3]);
  const missing: string[] = [];
  const all: string[] = [];
  // A count of five digits at most, whatever the name says.
  for (let at = 1; at <= count; at++) {
    const name = `${first[1]}-${String(at).padStart(5, '0')}-of-${first[3]}${first[4]}`;
    all.push(name);
    if (!there.has(name)) missing.push(name);
  }
  if (missing.length > 0) throw missingShards(missing, count, label);
  return all;
}

/** The error for shards that are not there. */
export function missingShards(missing: readonly string[], count: number, label: string): FedStreamError {
  const named = listed(missing, MOST_NAMED);
  return new FedStreamError('bad-model', `${label} lacks ${missing.length} of ${count} shards: ${named}; fetch the model again`);
}
