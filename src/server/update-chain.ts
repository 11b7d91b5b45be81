// The chain of broadcasts on the server's disk: the model that the sites hold, and the coded
// updates for sites that missed some.

import { z } from 'zod';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';

const digest = z.string().regex(/^[0-9a-f]{32}$/);
const objectName = z.string().min(1).max(200);

/** The model that the sites hold after a broadcast. */
const heldSchema = z.strictObject({
  version: z.int().min(1),
  /** Digest of its values (`contentDigest`). */
  digest,
  /** The safetensors file in the run folder, float32. */
  file: z.string().min(1).max(256),
});

const updateSchema = z.strictObject({
  version: z.int().min(1),
  object: objectName,
  /** Size of the object on the wire. */
  bytes: z.int().min(0),
  from: digest,
  to: digest,
  /** Digest of the spool. */
  digest,
});

const chainSchema = z.strictObject({
  held: heldSchema,
  /**
   * The model held before: if a crash of the machine damages the last broadcast, it is made again
   * from this one.
   */
  before: heldSchema.optional(),
  /** The name of the object that is the whole model. */
  whole: objectName,
  /** The model that the updates begin from, as long as none of them was dropped. */
  start: z
    .strictObject({
      digest,
      /** True where the start is the initial model as it is. */
      base: z.boolean(),
      /** The object, size and digest of its spool, where it travelled coded. */
      object: objectName.optional(),
      bytes: z.int().min(0).optional(),
      spool: digest.optional(),
    })
    .optional(),
  /** Ascending and without gaps; the last update leads to `held`. */
  updates: z.array(updateSchema),
});

/** The chain of broadcasts. */
export type Chain = z.output<typeof chainSchema>;
/** A model that the sites hold. */
export type Held = z.output<typeof heldSchema>;
/** A coded update from one held model to the next. */
export type Update = z.output<typeof updateSchema>;

const FILE = 'chain.json';
/** The spool of the start, in the broadcaster's folder. */
export const START_SPOOL = 'start.spool';

/** The spool of the update that leads to that version. */
export function updateSpool(version: number): string {
  return `update-${version}.spool`;
}

/**
 * Reads the chain. Undefined where there is none, or none that can be read; the next broadcast is
 * then a whole model.
 */
export function readChain(folder: Folder): Promise<Chain | undefined> {
  return readState(folder, FILE, chainSchema);
}

/** Writes the chain; returns once it is durable. */
export async function writeChain(folder: Folder, chain: Chain): Promise<void> {
  await writeText(folder, FILE, jsonText(chain, FILE));
}

/** The spools that a chain needs. */
export function spoolsOf({ start, updates }: Chain): ReadonlySet<string> {
  return new Set([...(start?.object === undefined ? [] : [START_SPOOL]), ...updates.map(({ version }) => updateSpool(version))]);
}

/**
 * The chain without updates that are not worth their disk space: a site that would need that many
 * bytes takes the whole model instead. What sites at work on an earlier broadcast may still fetch
 * (`inUse`, names of objects) stays.
 */
export function withinBudget(chain: Chain, wholeBytes: number, mostUpdates: number, inUse: ReadonlySet<string> = new Set()): Chain {
  let { start } = chain;
  const updates = [...chain.updates];
  const bytes = (): number => updates.reduce((sum, update) => sum + update.bytes, 0);
  const isInUse = (object: string | undefined): boolean => object !== undefined && inUse.has(object);
  const isOver = (): boolean => bytes() >= wholeBytes || updates.length > mostUpdates;
  if (start && (start.bytes ?? 0) + bytes() >= wholeBytes && updates.length > 0 && !isInUse(start.object))
    start = { digest: start.digest, base: start.base };
  while (updates.length > 0 && isOver() && !isInUse(start?.object) && !isInUse(updates[0]?.object)) {
    updates.shift();
    start = undefined;
  }
  return { ...chain, start, updates };
}
