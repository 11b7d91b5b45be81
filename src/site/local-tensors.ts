// Tensors that a site trains and does not send, because a filter leaves them out of its results: they
// live on here from round to round, in place of the global model's (personal layers, Arivazhagan et al.
// 2019; local batch norms, Li et al. 2021, "FedBN").
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import type { Folder } from '../core/storage.js';
import { type Filter, filteredManifest } from '../filter/filter.js';
import { gatheredChunks } from '../tensor/gathered-chunks.js';
import { selectTensors } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { RoundStates } from '../trainer/round-states.js';

/** The local tensors of one site and run, in a folder that has nothing else. */
export class LocalTensors {
  readonly #states: RoundStates;
  readonly #codecs: CodecTable;

  constructor(folder: Folder, run: string, codecs: CodecTable) {
    this.#states = new RoundStates(folder, 'local', run);
    this.#codecs = codecs;
  }

  /** Those of the last round before `round` that the site trained in; undefined where there are none. */
  async before(round: number, like: StateDict): Promise<StateDict | undefined> {
    return (await this.#states.before(round, like.manifest))?.state;
  }

  /**
   * Keeps, in float32, the tensors of a round's trained model that `filters` leave out of its result;
   * durably, before the result can reach the server.
   */
  async keep(round: number, trained: StateDict, filters: readonly Filter[]): Promise<void> {
    const sent = new Set(filteredManifest(trained.manifest, filters).tensors.map(({ name }) => name));
    if (trained.manifest.tensors.every(({ name }) => sent.has(name))) return;
    const local = selectTensors(trained, ({ name }) => !sent.has(name));
    await this.#states.keep(round, decodeModel(inFloat32(local), this.#codecs));
  }
}

/**
 * The model with the site's local tensors in place of its own, lazy. Tensors that do not fit, of a
 * model that has changed its shape, are left alone.
 */
export function withLocal(model: StateDict, local: StateDict): StateDict {
  const places = new Map(local.manifest.tensors.map((tensor, index) => [tensor.name, { tensor, index }]));
  const homes = model.manifest.tensors.map((tensor, index) => {
    const own = places.get(tensor.name);
    const fits = own?.tensor.dtype === tensor.dtype && own.tensor.shape.join() === tensor.shape.join();
    return fits ? { model: local, index: own.index } : { model, index };
  });
  const tensors = homes.map((home) => home.model.manifest.tensors[home.index] as (typeof model.manifest.tensors)[number]);
  const manifest = { ...model.manifest, tensors };
  return { manifest, chunks: (range) => gatheredChunks(manifest, homes, range), close: () => model.close?.() };
}
