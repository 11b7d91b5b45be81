// The global models of a run on disk: one safetensors file for each round, written under another
// name and renamed. Only those in use are kept.
import type { CodecTable } from '../codec/codec.js';
import { masterOf } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import type { Folder } from '../core/storage.js';
import { openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';

const FOLDER = 'global';
/** The folder for texts of the model folder that a run begins with. */
export const BASE_FOLDER = 'base';

/** A round in names of files and folders. */
export function roundName(round: number): string {
  return `round-${roundDigits(round)}`;
}

/** The digits of a round in such names. */
export function roundDigits(round: number): string {
  return String(round).padStart(4, '0');
}

/** The path of a round's model in the run folder; round 0 is the initial model. */
export function globalModelPath(round: number): string {
  return `${FOLDER}/${roundName(round)}.safetensors`;
}

/** Opens a round's model, float32; the caller closes it. */
export function openGlobalModel(run: Folder, round: number): Promise<StateDict> {
  return openSafetensors(run, globalModelPath(round));
}

/** Tells whether the run has that round's model. */
export async function hasGlobalModel(run: Folder, round: number): Promise<boolean> {
  return (await run.sizeBytes(globalModelPath(round))) !== undefined;
}

/** Writes a round's model; it is there whole or not at all. */
export async function writeGlobalModel(run: Folder, round: number, model: StateDict): Promise<void> {
  await writeSafetensors(run, globalModelPath(round), model);
}

/**
 * Writes the model that a run begins with: float32, with a note of its dtypes. Does nothing where
 * the run has one already. Throws `unsupported`, naming a tensor, where a dtype cannot be averaged.
 */
export async function writeInitialModel(run: Folder, model: StateDict, codecs: CodecTable): Promise<void> {
  if (!(await hasGlobalModel(run, 0))) await writeGlobalModel(run, 0, decodeModel(masterOf(model), codecs));
}

/**
 * Removes the models of all other rounds, except files that are still needed, and the remains of
 * writes that a crash cut short.
 */
export async function pruneGlobalModels(run: Folder, keep: readonly number[], needed: readonly string[] = []): Promise<void> {
  const kept = new Set([...keep.map(globalModelPath), ...needed]);
  for (const name of await run.list(FOLDER)) {
    const path = `${FOLDER}/${name}`;
    if (!kept.has(path)) await run.remove(path);
  }
}
