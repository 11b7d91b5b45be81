// Writes, opens and removes the files that go with a task's model and with its result.
import { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import { checkExtraNames } from '../../tensor/extra-names.js';
import { openSafetensors, writeSafetensors } from '../../tensor/safetensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { extraFile } from './messages.js';

type StateDicts = Readonly<Record<string, StateDict>>;

/**
 * Writes the extras of a task beside its model's file; returns names and files, undefined if there
 * are none.
 */
export async function writeExtras(
  folder: Folder,
  model: string,
  extras: StateDicts | undefined,
): Promise<(readonly [name: string, file: string])[] | undefined> {
  const named = Object.entries(extras ?? {});
  if (named.length === 0) return undefined;
  checkExtraNames(
    named.map(([name]) => name),
    'the task',
  );
  const files: (readonly [string, string])[] = [];
  for (const [name, extra] of named) {
    const file = extraFile(model, name);
    await writeSafetensors(folder, file, extra, { durable: false });
    files.push([name, file]);
  }
  return files;
}

/**
 * Opens the extras that a program says it has written, and removes other files that it left beside
 * its model. Closing a state dict removes its file. Throws `trainer`, which names the fault.
 */
export async function openExtras(
  folder: Folder,
  result: string,
  names: readonly string[],
  program: string,
): Promise<StateDicts | undefined> {
  checkExtraNames(names, `the result of ${program}`, 'trainer');
  const said = new Set(names.map((name) => extraFile(result, name)));
  for (const file of await folder.list()) if (file.startsWith(`${result}.`) && !said.has(file)) await folder.remove(file);
  if (names.length === 0) return undefined;
  const opened: [string, StateDict][] = [];
  try {
    for (const name of names) {
      const file = extraFile(result, name);
      opened.push([name, removedWhenClosed(await openExtra(folder, file, name, program), folder, file)]);
    }
    return Object.fromEntries(opened);
  } catch (error) {
    for (const [, extra] of opened) await extra.close?.();
    throw error;
  }
}

async function openExtra(folder: Folder, file: string, name: string, program: string): Promise<StateDict> {
  try {
    return await openSafetensors(folder, file);
  } catch (cause) {
    throw new FedStreamError('trainer', `${program} has no readable extra ${name}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Removes a model's file and all that goes with it: its extras, and the unfinished files of a
 * program that was ended.
 */
export async function removeAll(folder: Folder, model: string): Promise<void> {
  for (const name of await folder.list()) if (name === model || name.startsWith(`${model}.`)) await folder.remove(name);
}

/** The same state dict; closing it removes its file. */
export function removedWhenClosed(model: StateDict, folder: Folder, file: string): StateDict {
  const close = async (): Promise<void> => {
    await model.close?.();
    await folder.remove(file);
  };
  return { manifest: model.manifest, stored: model.stored, chunks: (range) => model.chunks(range), close };
}
