// Sends an encoded model over a session, in one of the three streaming modes.
import type { CodecTable } from '../codec/codec.js';
import { hasVaryingCodes, mostCodedBytes } from '../codec/layout.js';
import type { Json } from '../core/json.js';
import type { Folder } from '../core/storage.js';
import { LEAF_BYTES } from '../stream/leaf-sums.js';
import type { SendOptions, SentStream } from '../stream/outgoing-stream.js';
import type { ByteSource } from '../stream/source.js';
import type { Streams } from '../stream/streams.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { TransferFigures } from './figures.js';
import { objectSource } from './object.js';
import { type SpoolInfo, spoolSource, writeSpool } from './spool.js';
import { spoolAhead } from './spool-ahead.js';
import type { StreamingMode } from './streaming-mode.js';

/** A model that is ready to be sent, any number of times: a retry uses what was prepared. */
export interface Prepared {
  readonly source: ByteSource;
  /** Resolves once a model that is sent while it is coded is coded; rejects if it cannot be. */
  readonly whole?: Promise<SpoolInfo>;
  release(): Promise<void>;
}

/**
 * Prepares a model. `regular` and `file` code it once, into `folder` (in memory for `regular`).
 * `container` codes it each time it is sent, and can resume after a cut if `id` promises that the
 * model gives the same bytes again. A model that is stored as it is to be sent is served from
 * there. Codes that vary in size are coded into `folder` in every mode, since a receiver is told
 * their sizes before their bytes.
 */
export async function prepareModel(
  model: StateDict,
  codecs: CodecTable,
  mode: StreamingMode,
  folder: Folder,
  name: string,
  id?: string,
): Promise<Prepared> {
  if (servedInPlace(model, codecs, mode)) return { source: objectSource(model, codecs, id), release: async () => {} };
  // A crash needs no durable spool: a resumed transfer compares its digest first, and a lost one is
  // coded anew.
  const info = await writeSpool(model, codecs, folder, name, { durable: false });
  return { source: spoolSource(folder, name, info), release: () => folder.remove(name) };
}

function servedInPlace(model: StateDict, codecs: CodecTable, mode: StreamingMode): boolean {
  return (mode === 'container' || model.stored === true) && !hasVaryingCodes(model.manifest, codecs);
}

/**
 * Below this many bytes coding takes milliseconds: it is waited for, and a model that cannot be
 * coded fails before anybody is offered it.
 */
const LEAST_AHEAD_BYTES = 32 * LEAF_BYTES;

/**
 * Prepares a model as `prepareModel` does, but does not wait until a large one is coded: it is sent
 * while that goes on, and `whole` resolves once it can be read again without coding. `id` promises
 * the same bytes where the model is coded once more.
 */
export async function prepareAhead(
  model: StateDict,
  codecs: CodecTable,
  mode: StreamingMode,
  folder: Folder,
  name: string,
  id: string,
): Promise<Prepared> {
  const small = mostCodedBytes(model.manifest, codecs) < LEAST_AHEAD_BYTES;
  if (small || servedInPlace(model, codecs, mode) || hasVaryingCodes(model.manifest, codecs))
    return prepareModel(model, codecs, mode, folder, name, id);
  return spoolAhead(model, codecs, folder, name, id);
}

/** Sends a prepared model; resolves once the receiver has verified and stored it. */
export async function sendPrepared(streams: Streams, meta: Json, prepared: Prepared, options: SendOptions = {}): Promise<TransferFigures> {
  const startedMs = performance.now();
  const sent: SentStream = await streams.send(meta, prepared.source, options);
  const seconds = (performance.now() - startedMs) / 1000;
  const { wireBytes, totalBytes, retries, resumedBytes, digest } = sent;
  return { wireBytes, objectBytes: totalBytes, seconds, retries, resumedBytes, digest };
}
