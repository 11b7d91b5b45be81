// A run folder that goes on where another server's ended: the state that was handed over, as if this
// server had made it.
import type { CodecTable } from '../codec/codec.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { RUN_ID_FILE } from '../record/run-id.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { writeSafetensors } from '../tensor/safetensors.js';
import { type StateDict, withManifest } from '../tensor/state-dict.js';
import { globalModelPath, roundDigits, writeGlobalModel, writeInitialModel } from './global-models.js';
import { type JournalEntry, writeJournal } from './journal.js';
import { writeChain } from './update-chain.js';

/** The state of a run after a round. */
export interface TakenOver {
  /** The run's unique id. */
  readonly run: string;
  readonly round: number;
  /** The server's own model, float32. */
  readonly model: StateDict;
  /** What workflow and aggregator keep, by name. */
  readonly state: Readonly<Record<string, StateDict>>;
  /** The model that the sites hold, with the note of its dtypes, and its digest. */
  readonly held: { readonly model: StateDict; readonly digest: string };
  /** True where the sites are sent updates of what they hold. */
  readonly updates: boolean;
}

/**
 * Writes the folder, which must be empty. Throws `bad-model`, naming the tensor, where the state is of
 * another model than the one that is held.
 */
export async function writeTakenOver(folder: Folder, { run, round, model, state, held, updates }: TakenOver): Promise<void> {
  sameTensors(held.model.manifest, model.manifest, 'the model that was handed over');
  await writeText(folder, RUN_ID_FILE, `${run}\n`);
  // The note of the checkpoint's dtypes is that of the model which this site holds itself.
  await writeGlobalModel(folder, round, withManifest(model, { ...model.manifest, metadata: held.model.manifest.metadata }));
  const files: Record<string, string> = {};
  for (const [name, dict] of Object.entries(state)) {
    const file = `state/${name}-${roundDigits(round)}.safetensors`;
    await writeSafetensors(folder, file, dict);
    files[name] = file;
  }
  // Broadcasts are counted from 1, the initial model's, so a round's has the next number.
  const version = round + 1;
  if (updates) {
    const file = `held/held-${version}.safetensors`;
    await writeSafetensors(folder, file, held.model);
    const whole = `whole-${version}-${crypto.randomUUID().slice(0, 13)}`;
    await writeChain(folder.folder('held'), { held: { version, digest: held.digest, file }, whole, updates: [] });
  }
  const entry: JournalEntry = { round, model: globalModelPath(round), ...(Object.keys(files).length > 0 && { state: files }) };
  await writeJournal(folder, [entry]);
}

/** Writes the folder of a run that begins with this model. */
export async function writeBeginning(folder: Folder, run: string, model: StateDict, codecs: CodecTable): Promise<void> {
  await writeText(folder, RUN_ID_FILE, `${run}\n`);
  await writeInitialModel(folder, model, codecs);
}
