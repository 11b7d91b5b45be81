// Broadcasts as coded updates: the difference between the server's model and the one that the sites
// hold. Server and sites hold the same bits, so what coding loses is part of the next update.
import type { CodecTable } from '../codec/codec.js';
import { ownEncoding } from '../codec/float32.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { writeCodedSum } from '../exchange/coded-sum.js';
import { contentDigest, writeDigested } from '../exchange/content-digest.js';
import { policyEncoding } from '../exchange/message-coding.js';
import { MAX_UPDATES, type TaskModel } from '../exchange/task.js';
import type { Coding } from '../filter/coding.js';
import type { Policy } from '../filter/policy.js';
import type { ByteSource } from '../stream/source.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import { openSafetensors } from '../tensor/safetensors.js';
import { replacedBy, selectTensors } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { objectBytes, objectSource } from '../transfer/object.js';
import type { Prepared } from '../transfer/send.js';
import { openSpool, type SpoolInfo, spoolInfo, spoolSource, writeSpool } from '../transfer/spool.js';
import type { Broadcast, Broadcaster, EarlierBroadcast, OfferedObject } from './broadcast.js';
import { type Chain, type Held, readChain, START_SPOOL, spoolsOf, updateSpool, withinBudget, writeChain } from './update-chain.js';

/** The broadcaster's own folder in the run folder. */
const FOLDER = 'held';

/** Options of `UpdateBroadcaster`. */
export interface UpdateBroadcasterOptions {
  readonly coding: Coding;
  readonly run: Folder;
  readonly codecs: CodecTable;
  /** The name of the part of the model that is broadcast; without it, the whole model. */
  readonly part?: string | undefined;
  /** True for a tensor that never changes: updates are without it. */
  readonly isFrozen?: ((name: string) => boolean) | undefined;
  /** Files and objects of earlier broadcasts that sites are still at work on. */
  inUse?(): { readonly files: ReadonlySet<string>; readonly objects: ReadonlySet<string> };
}

/** Broadcasts the global model as updates of the model that the sites hold. */
export class UpdateBroadcaster implements Broadcaster {
  readonly #options: UpdateBroadcasterOptions;
  readonly #folder: Folder;
  /** The path of that folder in the run folder. */
  readonly #path: string;
  /** The chain, once this process has checked its files. */
  #chain: Chain | undefined;
  /** Sizes and checksums of the spools, by file. */
  readonly #spools = new Map<string, SpoolInfo | Promise<SpoolInfo>>();

  constructor(options: UpdateBroadcasterOptions) {
    this.#options = options;
    this.#path = options.part === undefined ? FOLDER : `${FOLDER}/${options.part}`;
    this.#folder = options.run.folder(this.#path);
  }

  async prepare(version: number, model: StateDict, modelFile: string | undefined): Promise<Broadcast> {
    let chain = this.#chain ?? (await this.#checked(version));
    // A part is broadcast before its round is committed: after a crash the round begins with the one before.
    if (chain && this.#options.part !== undefined && chain.before?.version === version) {
      this.#chain = chain;
      return this.#broadcast(earlier(chain, chain.before), model);
    }
    if (chain?.held.version !== version) {
      if (!chain) chain = await this.#begin(version, model, modelFile);
      else if (chain.held.version === version - 1) chain = await this.#extend(chain, version, model);
      else chain = await this.#anew(version, modelFile, model);
    }
    this.#chain = chain;
    return this.#broadcast(chain, model);
  }

  async reopen({ version, model, file, master }: EarlierBroadcast): Promise<Broadcast> {
    const chain = this.#chain ?? (await readChain(this.#folder));
    const { digest, whole, start } = model;
    if (!chain || digest === undefined || file === undefined || (await this.#options.run.sizeBytes(file)) === undefined)
      throw new FedStreamError('not-found', `what was offered in round ${version} is gone`);
    const named = new Set(model.updates?.map(({ object }) => object));
    const updates = chain.updates.filter(({ object }) => named.has(object));
    const then: Chain = { held: { version, digest, file }, whole: whole.object, start: start && chain.start, updates };
    return { ...(await this.#broadcast(then, master)), model };
  }

  async needs(): Promise<readonly string[]> {
    const chain = this.#chain ?? (await readChain(this.#folder));
    return chain ? [chain.held.file, ...(chain.before ? [chain.before.file] : [])] : [];
  }

  /**
   * The chain on disk, as far as its files are intact; a crash of the machine may have damaged
   * them.
   */
  async #checked(version: number): Promise<Chain | undefined> {
    const read = await readChain(this.#folder);
    const chain = read && (await this.#withStart(read));
    if (!chain) return undefined;
    const last = chain.updates.at(-1);
    if ((await this.#isWhole(chain.held)) && (!last || (await this.#hasSpool(updateSpool(last.version), last.digest)))) return chain;
    const { before } = chain;
    if (!before || before.version !== version - 1 || !(await this.#isWhole(before))) return undefined;
    return { ...chain, held: before, before: undefined, updates: chain.updates.slice(0, -1) };
  }

  /**
   * The chain without its start where the start's spool is damaged; undefined where the start is
   * all that there is.
   */
  async #withStart(chain: Chain): Promise<Chain | undefined> {
    const { start } = chain;
    if (start?.spool === undefined || (await this.#hasSpool(START_SPOOL, start.spool))) return chain;
    return chain.updates.length === 0 ? undefined : { ...chain, start: { digest: start.digest, base: start.base } };
  }

  async #isWhole({ file, digest }: Held): Promise<boolean> {
    const { run, codecs } = this.#options;
    if ((await run.sizeBytes(file)) === undefined) return false;
    const model = await openSafetensors(run, file);
    try {
      return (await contentDigest(model, codecs)) === digest;
    } finally {
      await model.close?.();
    }
  }

  async #hasSpool(name: string, digest: string): Promise<boolean> {
    return (await this.#folder.sizeBytes(name)) !== undefined && (await spoolInfo(this.#folder, name)).digest === digest;
  }

  /** The first broadcast: the model as it is, or coded as the job says. */
  async #begin(version: number, model: StateDict, modelFile: string | undefined): Promise<Chain> {
    const { first = 'base' } = this.#options.coding;
    if (version > 1) return this.#anew(version, modelFile, model);
    if (first === 'base' || first === 'raw') {
      const held = await this.#asItIs(version, modelFile, model);
      const start = { digest: held.digest, base: first === 'base' };
      return this.#keep({ held, whole: newName(version, 'start'), start, updates: [] });
    }
    return this.#beginCoded(version, model, first);
  }

  async #beginCoded(version: number, model: StateDict, policy: Policy): Promise<Chain> {
    const { codecs, run } = this.#options;
    const encodingFor = policyEncoding(policy, notedDtypes(model.manifest), codecs);
    const own = ownEncoding(model.manifest);
    // Tensors that the policy leaves uncoded travel in the checkpoint's own dtype.
    const encoded = encodeModel(model, (tensor) => (encodingFor(tensor).codec === 'raw' ? own(tensor) : encodingFor(tensor)), codecs);
    const info = await writeSpool(encoded, codecs, this.#folder, START_SPOOL, { durable: false });
    const sent = await openSpool(this.#folder, START_SPOOL, codecs);
    const file = this.#heldFile(version);
    const digest = await writeDigested(run, file, decodeModel(sent, codecs));
    await sent.close?.();
    const object = newName(version, 'start');
    const start = { digest, base: false, object, bytes: info.totalBytes, spool: info.digest };
    return this.#keep({ held: { version, digest, file }, whole: object, start, updates: [] });
  }

  /**
   * Starts a new chain with the server's model itself, uncoded, where it is not known what the
   * sites hold.
   */
  async #anew(version: number, modelFile: string | undefined, model: StateDict): Promise<Chain> {
    const held = await this.#asItIs(version, modelFile, model);
    return this.#keep({ held, whole: newName(version, 'whole'), updates: [] });
  }

  /** The server's model as the one that is held: in its own file, or a copy. */
  async #asItIs(version: number, modelFile: string | undefined, model: StateDict): Promise<Held> {
    if (modelFile !== undefined) return { version, digest: await contentDigest(model, this.#options.codecs), file: modelFile };
    const file = this.#heldFile(version);
    return { version, digest: await writeDigested(this.#options.run, file, model), file };
  }

  /**
   * Extends the chain in one pass over both models: codes `model − held`, and adds the decoded
   * update to `held`.
   */
  async #extend(chain: Chain, version: number, model: StateDict): Promise<Chain> {
    const { run, codecs, coding, isFrozen } = this.#options;
    const { held: before } = chain;
    const held = await openSafetensors(run, before.file);
    const file = this.#heldFile(version);
    const changing = (all: StateDict): StateDict => (isFrozen ? selectTensors(all, ({ name }) => !isFrozen(name)) : all);
    const beside = isFrozen ? this.#changedFile(version) : file;
    try {
      const { info, besideDigest } = await writeCodedSum({
        addends: [
          { model: changing(model), weight: 1 },
          { model: changing(held), weight: -1 },
        ],
        codecs,
        what: 'what the sites lack',
        encodingFor: policyEncoding(coding.down, notedDtypes(model.manifest), codecs),
        spool: { folder: this.#folder, name: updateSpool(version) },
        beside: { folder: run, name: beside, of: 1, has: () => true, metadata: { ...model.manifest.metadata, ...model.manifest.tied } },
      });
      this.#spools.set(updateSpool(version), info);
      const to = beside === file ? (besideDigest as string) : await this.#withFrozen(held, beside, file);
      const object = newName(version, 'update');
      const update = { version, object, bytes: info.totalBytes, from: before.digest, to, digest: info.digest };
      const whole = newName(version, 'whole');
      const longer: Chain = { ...chain, held: { version, digest: to, file }, before, whole, updates: [...chain.updates, update] };
      const wholeBytes = objectBytes(held.manifest, codecs);
      return await this.#keep(withinBudget(longer, wholeBytes, MAX_UPDATES, this.#options.inUse?.().objects));
    } finally {
      await held.close?.();
    }
  }

  /** Writes the held model with the tensors that have changed in their places; returns its digest. */
  async #withFrozen(held: StateDict, changed: string, file: string): Promise<string> {
    const { run } = this.#options;
    const next = await openSafetensors(run, changed);
    const digest = await writeDigested(run, file, replacedBy(held, next));
    await next.close?.();
    await run.remove(changed);
    return digest;
  }

  /** Makes the chain durable, and only then removes the files that it does not need. */
  async #keep(chain: Chain): Promise<Chain> {
    await writeChain(this.#folder, chain);
    const spools = spoolsOf(chain);
    const files = new Set([chain.held.file, chain.before?.file, ...(this.#options.inUse?.().files ?? [])]);
    for (const name of await this.#folder.list()) {
      const isNeeded = name.endsWith('.spool') ? spools.has(name) : files.has(`${this.#path}/${name}`);
      if (!isNeeded && /\.(spool|safetensors)$/.test(name)) await this.#folder.remove(name);
    }
    return chain;
  }

  #heldFile(version: number): string {
    return `${this.#path}/held-${version}.safetensors`;
  }

  /** The tensors of a held model that change, where some are frozen. */
  #changedFile(version: number): string {
    return `${this.#path}/changed-${version}.safetensors`;
  }

  async #broadcast(chain: Chain, model: StateDict): Promise<Broadcast> {
    const { run, codecs } = this.#options;
    const held = await openSafetensors(run, chain.held.file);
    const { start, updates, whole } = chain;
    const startsHere = updates.length === 0 && start !== undefined;
    // The start travels in the checkpoint's own dtypes, which represent it exactly.
    const wholeModel = startsHere ? encodeModel(held, ownEncoding(held.manifest), codecs) : held;
    const bytes = start?.object === whole ? (start.bytes as number) : objectBytes(wholeModel.manifest, codecs);
    let wholeSource: ByteSource | undefined; // its head costs as much as the manifest, however often it is asked for
    const object = async (name: string): Promise<OfferedObject | undefined> => {
      const update = updates.find((one) => one.object === name);
      if (update) {
        const brings = update === updates.at(-1) ? held.manifest : undefined;
        return { prepared: await this.#spooled(updateSpool(update.version)), brings };
      }
      if (name === start?.object) return { prepared: await this.#spooled(START_SPOOL), brings: startsHere ? held.manifest : undefined };
      if (name !== whole) return undefined;
      wholeSource ??= objectSource(wholeModel, codecs, whole);
      return { prepared: { source: wholeSource, release: async () => {} }, brings: held.manifest };
    };
    // The chain may be longer than is worth fetching, for sites that are at work on an earlier broadcast.
    const told = withinBudget(chain, bytes, MAX_UPDATES);
    const task: TaskModel = {
      digest: chain.held.digest,
      whole: { object: whole, bytes },
      ...(told.start && {
        start: { digest: told.start.digest, base: told.start.base, object: told.start.object, bytes: told.start.bytes },
      }),
      updates: told.updates.map(({ object, bytes: size, from, to }) => ({ object, bytes: size, from, to })),
    };
    const exact = updates.length === 0 && start?.object === undefined;
    return {
      model: task,
      held,
      file: chain.held.file,
      exact: exact || (startsHere && (await contentDigest(model, codecs)) === chain.held.digest),
      object,
      release: async () => held.close?.(),
    };
  }

  async #spooled(name: string): Promise<Prepared> {
    const reading = this.#spools.get(name) ?? spoolInfo(this.#folder, name);
    this.#spools.set(name, reading); // whoever asks meanwhile waits for the same reading
    try {
      return { source: spoolSource(this.#folder, name, await reading), release: async () => {} };
    } catch (error) {
      this.#spools.delete(name);
      throw error;
    }
  }
}

/** The chain as it was before its last update. */
function earlier(chain: Chain, before: Held): Chain {
  return { ...chain, held: before, before: undefined, whole: `${chain.whole}-before`, updates: chain.updates.slice(0, -1) };
}

/** A name that no other object has, of this run or another. */
function newName(version: number, what: string): string {
  return `${what}-${version}-${crypto.randomUUID().slice(0, 13)}`;
}
