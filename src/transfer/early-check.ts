// Looks at the head of an object as soon as it is there, so that one that does not fit is refused
// before its tensors are taken.
import type { CodecTable } from '../codec/codec.js';
import { hasVaryingCodes, mostCodedBytes } from '../codec/layout.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { Manifest } from '../tensor/manifest.js';
import { OBJECT_PREFIX_BYTES } from './object.js';
import { type HeadLimits, type ObjectHead, readManifestLength, readObjectHead } from './object-head.js';
import { checkObjectSize } from './part.js';

/** The conditions on an object that is arriving. */
export interface EarlyCheckOptions {
  readonly codecs: CodecTable;
  readonly limits?: HeadLimits | undefined;
  readonly maxBytes?: number | undefined;
  /** Called with the manifest; an error that it throws refuses the object. */
  expect?(manifest: Manifest): void | Promise<void>;
}

/** Called with the most bytes that the object can have, before its manifest is compared. */
type Sized = (most: number) => Promise<void>;

/** The head of one object that is arriving, or has arrived. */
export class EarlyCheck {
  readonly #options: EarlyCheckOptions;
  #needed = OBJECT_PREFIX_BYTES;
  #head: ObjectHead | undefined;

  constructor(options: EarlyCheckOptions) {
    this.#options = options;
  }

  /** The head, once it was found to fit. */
  get head(): ObjectHead | undefined {
    return this.#head;
  }

  /**
   * Looks at the file in which the first `arrived` bytes of the object are; does nothing while its
   * head is not whole.
   */
  async look(folder: Folder, name: string, arrived: number, claimed: number | undefined, sized?: Sized): Promise<void> {
    if (this.#head || arrived < this.#needed) return;
    const { codecs, limits, maxBytes, expect } = this.#options;
    const source = `the object ${name}`; // without the folder: the sender is told
    const file = await folder.open(name);
    try {
      if (this.#needed === OBJECT_PREFIX_BYTES) {
        this.#needed += await readManifestLength(file, source, limits);
        if (claimed !== undefined && this.#needed > claimed)
          throw new FedStreamError('bad-manifest', `${source} is shorter than the manifest that it claims`);
        if (arrived < this.#needed) return;
      }
      const head = await readObjectHead(file, source, limits);
      const most = head.bytes + mostCodedBytes(head.manifest, codecs);
      const exact = !hasVaryingCodes(head.manifest, codecs);
      if (exact) checkObjectSize(most, maxBytes);
      if (claimed !== undefined && (exact ? claimed !== most : claimed > most))
        throw new FedStreamError('bad-manifest', `${source} has ${claimed} bytes; its manifest makes ${most}`);
      await sized?.(most);
      await expect?.(head.manifest);
      this.#head = head;
    } finally {
      await file.close();
    }
  }
}
