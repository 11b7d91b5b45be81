// The chain of broadcasts on the server's disk: what the sites hold, and the coded updates that bring a site there that missed some.
import { z } from 'zod';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';

const digest = z.string().regex(/^[0-9a-f]{32}$/);
const objectName = z.string().min(1).max(200);

/** What the sites hold after a broadcast. */
const heldSchema = z.strictObject({
  version: z.int().min(1),
  /** Of its values (`contentDigest`). */
  digest,
  /** The safetensors file in the run folder, float32. */
  file: z.string().min(1).max(256),
});

const updateSchema = z.strictObject({
  version: z.int().min(1),
  object: objectName,
  /** Of the object on the wire. */
  bytes: z.int().min(0),
  from: digest,
  to: digest,
  /** Of the spool. */
  digest,
});

const chainSchema = z.strictObject({
  held: heldSchema,
  /** The one before: a broadcast that a crash of the machine spoilt is made again from it. */
  before: heldSchema.optional(),
  /** The name of the object that is the whole model. */
  whole: objectName,
  /** What the updates begin from, as long as none of them was dropped. */
  start: z
    .strictObject({
      digest,
      /** Whether it is the model as it is. */
      base: z.boolean(),
      /** Its spool, where it travelled coded. */
      object: objectName.optional(),
      bytes: z.int().min(0).optional(),
      spool: digest.optional(),
    })
    .optional(),
  /** Ascending, without gaps; the last one leads to `held`. */
  updates: z.array(updateSchema),
});

export type Chain = z.output<typeof chainSchema>;
export type Held = z.output<typeof heldSchema>;
export type Update = z.output<typeof updateSchema>;

const FILE = 'chain.json';
export const START_SPOOL = 'start.spool';

export function updateSpool(version: number): string {
  return `update-${version}.spool`;
}

/** Undefined where there is none, or none that can be read: then the next broadcast is a whole one. */
export function readChain(folder: Folder): Promise<Chain | undefined> {
  return readState(folder, FILE, chainSchema);
}

/** Returns once it is durable. */
export async function writeChain(folder: Folder, chain: Chain): Promise<void> {
  await writeText(folder, FILE, JSON.stringify(chain));
}

/**
 * The chain without the updates that are not worth their disk: whoever would need so many bytes takes the whole model instead. Returns the files
 * that nothing needs any more, too.
 */
export function withinBudget(chain: Chain, wholeBytes: number, mostUpdates: number): { chain: Chain; dropped: string[] } {
  const dropped: string[] = [];
  let { start } = chain;
  const updates = [...chain.updates];
  const bytes = (): number => updates.reduce((sum, update) => sum + update.bytes, 0);
  if (start?.object !== undefined && (start.bytes ?? 0) + bytes() >= wholeBytes && updates.length > 0) {
    dropped.push(START_SPOOL);
    start = { digest: start.digest, base: start.base };
  }
  while (updates.length > 0 && (bytes() >= wholeBytes || updates.length > mostUpdates)) {
    dropped.push(updateSpool((updates.shift() as Update).version));
    if (start?.object !== undefined) dropped.push(START_SPOOL);
    start = undefined;
  }
  return { chain: { ...chain, start, updates }, dropped };
}
