// Bounds on a site's answer, known before a byte of it has come: those of what it was asked for.
import type { CodecTable } from '../codec/codec.js';
import { refuseUnaveraged } from '../codec/float32.js';
import { mostCodedBytes } from '../codec/layout.js';
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import type { Job } from '../job/job.js';
import { dtypeBytes, elementCount } from '../tensor/dtype.js';
import type { Manifest } from '../tensor/manifest.js';
import { encodeManifest } from '../tensor/manifest-json.js';
import type { HeadLimits } from '../transfer/object-head.js';

/** Room for what is not in the manifests that are expected: free text, a table of sizes. */
const SLACK_BYTES = 1024 * 1024;
/** So that a result of other tensors is refused by the name of one, and not by their number. */
const SLACK_TENSORS = 1000;

/** The most bytes of an answer, and limits on its manifest. */
export interface AnswerBounds {
  readonly maxBytes: number;
  readonly limits: HeadLimits;
}

/** What a site was asked for. */
interface Asked {
  readonly offer: { readonly held: { readonly manifest: Manifest } } | undefined;
  readonly returns: 'update' | 'model' | 'figures';
  readonly returnsExtras: Readonly<Record<string, Manifest>>;
}

/** Computes the bounds of asks. */
export class BoundsOfAnswers {
  readonly #job: Job;
  readonly #codecs: CodecTable;
  /** Sizes by manifest: many sites are asked for the same. */
  readonly #sizes = new WeakMap<Manifest, { readonly manifestBytes: number; readonly tensorBytes: number }>();

  constructor(job: Job, codecs: CodecTable) {
    this.#job = job;
    this.#codecs = codecs;
  }

  of({ offer, returns, returnsExtras }: Asked): AnswerBounds {
    const known = [...(offer && returns === 'update' ? [offer.held.manifest] : []), ...Object.values(returnsExtras)];
    const isOwn = returns !== 'figures' && !(offer && returns === 'update');
    let maxBytes = SLACK_BYTES;
    let manifestBytes = SLACK_BYTES;
    let tensors = SLACK_TENSORS;
    for (const manifest of known) {
      const sizes = this.#sizesOf(manifest);
      maxBytes += BUDGETS.objectFactor.limit * (sizes.tensorBytes + sizes.manifestBytes);
      manifestBytes += BUDGETS.manifestFactor.limit * sizes.manifestBytes;
      tensors += BUDGETS.objectFactor.limit * manifest.tensors.length;
    }
    if (!isOwn) return { maxBytes, limits: { manifestBytes, tensors } };
    return {
      maxBytes: maxBytes + this.#job.offerBytes + BUDGETS.offeredManifestBytes.limit,
      limits: {
        manifestBytes: manifestBytes + BUDGETS.offeredManifestBytes.limit,
        tensors: tensors + BUDGETS.offeredTensors.limit,
      },
    };
  }

  #sizesOf(manifest: Manifest) {
    const known = this.#sizes.get(manifest) ?? {
      manifestBytes: encodeManifest(manifest).length,
      tensorBytes: mostCodedBytes(manifest, this.#codecs),
    };
    this.#sizes.set(manifest, known);
    return known;
  }
}

/** Checks the manifest of a model of a site's own, with which all sites would begin. */
export function checkOffered(manifest: Manifest, site: string, { offerBytes }: Job): void {
  const { tensors, chunkElements } = manifest;
  const coded = tensors.find(({ encoding }) => encoding.codec !== 'raw');
  if (coded) throw new FedStreamError('bad-model', `the initial model of ${site} has ${coded.name} coded as ${coded.encoding.codec}`);
  refuseUnaveraged(manifest, `the initial model of ${site}`);
  const bytes = tensors.reduce((sum, { dtype, shape }) => sum + dtypeBytes(dtype, elementCount(shape)), 0);
  if (bytes > offerBytes)
    throw new FedStreamError('limit', `the model that ${site} offers has ${bytes} bytes; the job takes at most ${offerBytes} (offerBytes)`);
  const most = BUDGETS.offeredChunkElements.limit;
  if (chunkElements > most)
    throw new FedStreamError('limit', `the model that ${site} offers has chunks of ${chunkElements} elements; at most ${most} are taken`);
}
