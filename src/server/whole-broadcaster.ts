// Broadcasts of the whole model: where coding loses nothing, where a job codes whole weights, and
// where a job filters outgoing models.
import type { CodecTable } from '../codec/codec.js';
import { losesValues } from '../codec/codec-rows.js';
import { inFloat32, ownEncoding } from '../codec/float32.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import type { Folder } from '../core/storage.js';
import { contentDigest } from '../exchange/content-digest.js';
import { policyEncoding } from '../exchange/message-coding.js';
import { applyFilters, type Filter, type FilterContext } from '../filter/filter.js';
import { isLossy } from '../filter/policy.js';
import type { Job } from '../job/job.js';
import { type Encoding, RAW, type TensorEntry } from '../tensor/manifest.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import type { StateDict } from '../tensor/state-dict.js';
import { objectBytes } from '../transfer/object.js';
import { type Prepared, prepareModel } from '../transfer/send.js';
import { spoolInfo, spoolSource } from '../transfer/spool.js';
import type { Broadcast, Broadcaster, EarlierBroadcast } from './broadcast.js';
import { type BroadcastState, readBroadcastState, writeBroadcastState } from './round-state.js';

/** Options of `WholeBroadcaster`. */
export interface WholeBroadcasterOptions {
  readonly job: Job;
  readonly codecs: CodecTable;
  /** The folder for the spool of the current broadcast. */
  folder(): Folder;
  /** The job's own filters at `task-out` and `task-in`. */
  readonly out: readonly Filter[];
  readonly in: readonly Filter[];
}

/** Broadcasts the whole global model every time. */
export class WholeBroadcaster implements Broadcaster {
  readonly #options: WholeBroadcasterOptions;

  constructor(options: WholeBroadcasterOptions) {
    this.#options = options;
  }

  prepare(version: number, model: StateDict): Promise<Broadcast> {
    return this.#prepared(version, model, this.#options.folder());
  }

  reopen({ version, master, folder }: EarlierBroadcast): Promise<Broadcast> {
    return this.#prepared(version, master, folder);
  }

  async #prepared(version: number, model: StateDict, folder: Folder): Promise<Broadcast> {
    const { job, codecs, out } = this.#options;
    const known = await readBroadcastState(folder, version);
    const lossy = isLossy(job.quantize.down, codecs);
    const filtered = await applyFilters(model, out, this.#context('task-out', version));
    const byPolicy = policyEncoding(job.quantize.down, notedDtypes(model.manifest), codecs);
    const own = ownEncoding(model.manifest);
    const lossless = (tensor: TensorEntry): Encoding => (byPolicy(tensor).codec === RAW.codec ? own(tensor) : byPolicy(tensor));
    const coded = encodeModel(filtered, lossy ? byPolicy : lossless, codecs);
    const object = known?.object ?? `global-${version}-${crypto.randomUUID().slice(0, 13)}`;
    const spool = `global-${version}.spool`;
    const prepared = await this.#prepare(coded, folder, spool, object, known);
    await writeBroadcastState(folder, version, { object, digest: prepared.source.digest });
    const decoded = decodeModel(inFloat32(coded), codecs);
    const held = await applyFilters(decoded, this.#options.in, this.#context('task-in', version));
    const plain = out.length === 0 && this.#options.in.length === 0;
    const exact = plain && !lossy && (version === 1 || coded.manifest.tensors.every(({ encoding }) => !losesValues(codecs, encoding)));
    const begins = exact && version === 1 && job.quantize.first !== 'raw';
    const start = begins ? { digest: await contentDigest(held, codecs), base: true } : undefined;
    return {
      model: { whole: { object, bytes: prepared.source.totalBytes ?? objectBytes(coded.manifest, codecs) }, ...(start && { start }) },
      held,
      exact,
      object: async (name) => (name === object ? { prepared, brings: held.manifest } : undefined),
      release: () => prepared.release(),
    };
  }

  async needs(): Promise<readonly string[]> {
    return [];
  }

  /** Reuses the spool of an earlier process where it is intact. */
  async #prepare(coded: StateDict, folder: Folder, spool: string, object: string, known?: BroadcastState): Promise<Prepared> {
    const { job, codecs } = this.#options;
    if (known?.digest !== undefined && (await folder.sizeBytes(spool)) !== undefined) {
      const info = await spoolInfo(folder, spool);
      if (info.digest === known.digest) return { source: spoolSource(folder, spool, info), release: () => folder.remove(spool) };
    }
    return prepareModel(coded, codecs, job.streaming, folder, spool, object);
  }

  #context(point: 'task-out' | 'task-in', round: number): FilterContext {
    return { point, round, site: 'every site', codecs: this.#options.codecs, count: () => {} };
  }
}
