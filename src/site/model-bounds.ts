// Bounds on what a site fetches: a server is not believed about the size of its model.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { mostCodedBytes } from '../codec/layout.js';
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import type { Lora } from '../job/lora.js';
import { elementCount } from '../tensor/dtype.js';
import { checkStack, STACK } from '../tensor/lora-stack.js';
import type { Manifest } from '../tensor/manifest.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { encodeManifest } from '../tensor/manifest-json.js';
import { splitDicts } from '../tensor/named-dicts.js';
import { bytesless } from '../tensor/state-dict.js';
import { parseLlamaConfig } from '../trainer/llama/config.js';
import { llamaParameters } from '../trainer/llama/parameters.js';
import type { HeadLimits } from '../transfer/object-head.js';

/** Room for free text, and for what is small and differs. */
const SLACK_BYTES = 1024 * 1024;
/** So that a model of other tensors is refused by the name of one, and not by their number. */
const SLACK_TENSORS = 1000;
/** Buffers and other tensors of a checkpoint that its configuration does not count. */
const UNCOUNTED = 1.25;

/** The conditions under which an object is taken. */
export interface FetchBounds {
  readonly maxBytes: number;
  readonly limits: HeadLimits;
  /** Checks the manifest as soon as it is there. Returns the bytes that it has in float32. */
  expect(manifest: Manifest): number;
}

/** What a site knows of the model of its run before a byte of it has come. */
export class ModelBounds {
  readonly #codecs: CodecTable;
  /** The most values that the model can have; undefined where only its trainer knows. */
  readonly #mostValues: number | undefined;
  /** True where a stack comes beside an adapter, which may be larger than it. */
  readonly #stacks: boolean;
  /** The tensors of the first model that was taken. */
  #known: Manifest | undefined;
  /** The manifest that was measured last: a chain of updates has one for all. */
  #measured: { readonly manifest: Manifest; readonly bytes: number } | undefined;

  /** `config` is the run's `config.json`, if the site's own trainer is the built-in one. */
  constructor(codecs: CodecTable, config: string | undefined, lora?: Lora) {
    this.#stacks = lora?.type === 'exact';
    this.#codecs = codecs;
    this.#mostValues = config === undefined ? undefined : valuesOf(config);
  }

  /** Says which tensors the model has, once one was taken or found here. */
  note(manifest: Manifest): void {
    this.#known ??= manifest;
  }

  /**
   * The bytes that a way to the model may have: those of the whole model as the task claims them, at
   * most what such a model can have.
   */
  most(claimed: number): number {
    return this.whole(claimed).maxBytes;
  }

  /** A whole model; `claimed` are the bytes that the task says. */
  whole(claimed: number | undefined): FetchBounds {
    if (this.#known) return this.update(claimed, this.#known, 'the global model');
    const most = this.#mostValues === undefined ? undefined : 4 * this.#mostValues;
    return {
      maxBytes: Math.min(
        claimed ?? Number.POSITIVE_INFINITY,
        most === undefined ? Number.POSITIVE_INFINITY : 2 * most + BUDGETS.offeredManifestBytes.limit,
      ),
      limits: { manifestBytes: BUDGETS.offeredManifestBytes.limit, tensors: BUDGETS.offeredTensors.limit },
      expect: (manifest) => {
        checkChunks(manifest);
        const bytes = float32Bytes(manifest);
        if (most !== undefined && bytes > most)
          throw new FedStreamError('limit', `the global model has ${bytes} bytes in float32; by its config.json it has at most ${most}`);
        return bytes;
      },
    };
  }

  /** An update of a model with the tensors of `from`, or such a model itself. */
  update(claimed: number | undefined, from: Manifest, what = 'the update of the global model'): FetchBounds {
    const manifestBytes = this.#manifestBytesOf(from);
    const most = BUDGETS.objectFactor.limit * (mostCodedBytes(from, this.#codecs) + manifestBytes) + SLACK_BYTES;
    return {
      maxBytes: Math.min(claimed ?? most, most),
      limits: {
        manifestBytes: BUDGETS.manifestFactor.limit * manifestBytes + SLACK_BYTES,
        tensors: BUDGETS.objectFactor.limit * from.tensors.length + SLACK_TENSORS,
      },
      expect: (manifest) => {
        sameTensors(from, inFloat32(bytesless(manifest)).manifest, what);
        return float32Bytes(manifest);
      },
    };
  }

  #manifestBytesOf(manifest: Manifest): number {
    if (this.#measured?.manifest !== manifest) this.#measured = { manifest, bytes: encodeManifest(manifest).length };
    return this.#measured.bytes;
  }

  /**
   * State dicts beside the model, each at most as large as the model where that is known; a stack at
   * most as large as the weights that it goes with.
   */
  extras(claimed: number): FetchBounds {
    const model = this.#known && float32Bytes(this.#known);
    return {
      maxBytes: claimed,
      limits: {},
      expect: (manifest) => {
        if (!this.#known) checkChunks(manifest);
        let total = 0;
        for (const [name, dict] of Object.entries(splitDicts(bytesless(manifest)))) {
          const bytes = float32Bytes(dict.manifest);
          total += bytes;
          if (name === STACK && this.#stacks && this.#known) {
            checkStack(dict.manifest, this.#known);
            continue;
          }
          if (model !== undefined && bytes > BUDGETS.objectFactor.limit * model + SLACK_BYTES)
            throw new FedStreamError('limit', `${name} of the task has ${bytes} bytes in float32, the model itself has ${model}`);
        }
        return total;
      },
    };
  }
}

function checkChunks({ chunkElements }: Manifest): void {
  const most = BUDGETS.offeredChunkElements.limit;
  if (chunkElements > most)
    throw new FedStreamError('limit', `the server's model has chunks of ${chunkElements} elements; at most ${most} are taken`);
}

function float32Bytes({ tensors }: Manifest): number {
  return tensors.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
}

/** The values of a model by its configuration; undefined where that is of another architecture. */
function valuesOf(config: string): number | undefined {
  try {
    const { total } = llamaParameters(parseLlamaConfig(config, 'config.json'));
    return Math.ceil(total * UNCOUNTED) + SLACK_BYTES;
  } catch {
    return undefined; // the trainer says what is wrong with it
  }
}
