// The server's role at a site: the run folder that it serves from, and the state that an aggregator
// has handed over to it.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { FedStreamError } from '../core/errors.js';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { readJournal } from '../server/journal.js';
import { writeBeginning, writeTakenOver } from '../server/taken-over.js';
import type { Held, SiteHeld } from '../site/site-held.js';
import { MODEL_NAME } from '../tensor/extra-names.js';
import { openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';

const roleSchema = z.strictObject({ label: z.string(), from: z.string() });
const handedSchema = z.strictObject({ label: z.string(), names: z.array(z.string()) });

const SERVER = 'server';
const HANDED = 'handed';
const ROLE = 'role.json';

/** The round of a label. */
export function roundOf(label: string): number {
  return Number(/^r(\d+)\./.exec(label)?.[1]);
}

/** The state that an attempt begins with. */
export interface RoleStart {
  readonly label: string;
  /** As `prepareTextsSchema`. */
  readonly from: string;
  readonly held: string;
}

/** What makes the state where nobody hands one over. */
export interface RoleSources {
  readonly run: string;
  readonly held: SiteHeld;
  readonly codecs: CodecTable;
  readonly updates: boolean;
  /** The model that a run begins with; the caller closes it. */
  beginning(): Promise<StateDict>;
}

/** The role of one run at one site, on disk. */
export class Role {
  readonly #folder: Folder;

  /** `folder` holds nothing else. */
  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** The run folder to serve from, once `prepare` has made it. */
  get server(): Folder {
    return this.#folder.folder(SERVER);
  }

  /** Tells whether the site could serve from the state that was committed under that label. */
  async has(label: string): Promise<boolean> {
    return (await this.#served()) === label || (await this.#handed())?.label === label;
  }

  /** The label that the folder serves now. */
  async serving(): Promise<string | undefined> {
    return (await readState(this.#folder, ROLE, roleSchema))?.label;
  }

  /** Removes states that nobody will go on from: all but the one that was committed last. */
  async prune(committed: string): Promise<void> {
    const handed = await this.#handed();
    if (handed && handed.label !== committed) await this.#folder.remove(HANDED);
    if ((await this.serving()) !== undefined && !(await this.has(committed))) await this.#drop();
  }

  /** Removes all states: the run is over. */
  async clear(): Promise<void> {
    await this.#folder.remove(HANDED);
    await this.#drop();
  }

  /** Keeps a state that was handed over, in place of an earlier one. Returns once it is durable. */
  async keep(label: string, dicts: Readonly<Record<string, StateDict>>): Promise<void> {
    const folder = this.#folder.folder(HANDED);
    await this.#folder.remove(HANDED);
    for (const [name, dict] of Object.entries(dicts)) await writeSafetensors(folder, `${name}.safetensors`, dict);
    await writeText(folder, ROLE, jsonText({ label, names: Object.keys(dicts) }, ROLE));
  }

  /** Makes the run folder for an attempt, or finds it. Throws where there is nothing to begin with. */
  async prepare(start: RoleStart, sources: RoleSources): Promise<void> {
    const { label, from } = start;
    if ((await this.serving()) === label) return;
    if (from === (await this.#served())) {
      // Answers of an attempt that did not count are asked for anew.
      await this.server.remove('rounds');
      return this.#note(start);
    }
    await this.#drop();
    if (from === 'start') await this.#begin(sources);
    else await this.#takeOver(start, sources);
    await this.#note(start);
  }

  /**
   * The label of the state that the folder has: that of the attempt which it serves, once its round is
   * committed there, and before that the one that it began with.
   */
  async #served(): Promise<string | undefined> {
    const role = await readState(this.#folder, ROLE, roleSchema);
    if (!role) return undefined;
    const round = (await readJournal(this.server).catch(() => [])).at(-1)?.round;
    return round === roundOf(role.label) ? role.label : role.from;
  }

  #handed(): Promise<z.output<typeof handedSchema> | undefined> {
    return readState(this.#folder.folder(HANDED), ROLE, handedSchema);
  }

  async #note({ label, from }: RoleStart): Promise<void> {
    await writeText(this.#folder, ROLE, jsonText({ label, from }, ROLE));
  }

  /** The note first: without it, what is left of the folder counts for nothing. */
  async #drop(): Promise<void> {
    await this.#folder.remove(ROLE);
    await this.#folder.remove(SERVER);
  }

  async #begin({ run, codecs, beginning }: RoleSources): Promise<void> {
    const model = await beginning();
    await writeBeginning(this.server, run, model, codecs);
    await model.close?.();
  }

  async #takeOver({ label, from, held: digest }: RoleStart, { run, held, updates }: RoleSources): Promise<void> {
    const current = await held.current();
    const opened: Record<string, StateDict> = {};
    try {
      if (current?.digest !== digest)
        throw new FedStreamError('not-found', 'this site does not hold the model of the last round, so it cannot be the aggregator');
      const { [MODEL_NAME]: model = current.model, ...state } = from === 'held' ? {} : await this.#open(from, opened);
      await writeTakenOver(this.server, { run, round: roundOf(label) - 1, model, state, held: current, updates });
    } finally {
      for (const one of [...Object.values(opened), (current as Held | undefined)?.model]) await one?.close?.();
    }
  }

  async #open(label: string, opened: Record<string, StateDict>): Promise<Readonly<Record<string, StateDict>>> {
    const handed = await this.#handed();
    if (handed?.label !== label) throw new FedStreamError('not-found', `this site does not have the state ${label} of the last round`);
    for (const name of handed.names) opened[name] = await openSafetensors(this.#folder.folder(HANDED), `${name}.safetensors`);
    return opened;
  }
}
