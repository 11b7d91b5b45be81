// Sends an encoded model over a session, in one of the three streaming modes.
import type { CodecTable } from '../codec/codec.js';
import { hasVaryingCodes } from '../codec/layout.js';
import type { Json } from '../core/json.js';
import type { Folder } from '../core/storage.js';
import type { SendOptions, SentStream } from '../stream/outgoing-stream.js';
import type { ByteSource } from '../stream/source.js';
import type { Streams } from '../stream/streams.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { TransferFigures } from './figures.js';
import { objectSource } from './object.js';
import { spoolSource, writeSpool } from './spool.js';
import type { StreamingMode } from './streaming-mode.js';

/** A model that is ready to be sent, any number of times: a retry uses what was prepared. */
export interface Prepared {
  readonly source: ByteSource;
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
  const asItLies = mode === 'file' && model.stored === true;
  const inPlace = (mode === 'container' || asItLies) && !hasVaryingCodes(model.manifest, codecs);
  if (inPlace) return { source: objectSource(model, codecs, id), release: async () => {} };
  // A crash needs no durable spool: a resumed transfer compares its digest first, and a lost one is
  // coded anew.
  const info = await writeSpool(model, codecs, folder, name, { durable: false });
  return { source: spoolSource(folder, name, info), release: () => folder.remove(name) };
}

/** Sends a prepared model; resolves once the receiver has verified and stored it. */
export async function sendPrepared(streams: Streams, meta: Json, prepared: Prepared, options: SendOptions = {}): Promise<TransferFigures> {
  const startedMs = performance.now();
  const sent: SentStream = await streams.send(meta, prepared.source, options);
  const seconds = (performance.now() - startedMs) / 1000;
  const { wireBytes, totalBytes, retries, resumedBytes, digest } = sent;
  return { wireBytes, objectBytes: totalBytes, seconds, retries, resumedBytes, digest };
}
