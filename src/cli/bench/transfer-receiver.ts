// The receiving process of `fedstream bench transfer`: receives the model to memory, to a consumer
// or to a file, by its mode.
import { z } from 'zod';
import { decodeModel } from '../../codec/quantize.js';
import { GrowingBuffer } from '../../core/growing-buffer.js';
import { memoryFolder } from '../../core/memory-folder.js';
import type { Folder } from '../../core/storage.js';
import { Session } from '../../frame/session.js';
import { Messages } from '../../message/messages.js';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { tcp } from '../../node/drivers/tcp.js';
import { peakRssBytes } from '../../node/process/memory.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import type { IncomingStream } from '../../stream/incoming-stream.js';
import { Streams } from '../../stream/streams.js';
import { dtypeBytes, elementCount } from '../../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../../tensor/manifest.js';
import { writeSafetensors } from '../../tensor/safetensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { receiveModel } from '../../transfer/receive.js';
import { TensorReceiver } from '../../transfer/receive-tensors.js';
import { tensorModel } from '../../transfer/tensor-model.js';
import { FETCH, RECEIVED_MODEL, RECEIVED_SPOOL, report, sideSettings } from './transfer-side.js';

const { mode, codec, folder, url, sync } = sideSettings();
const codecs = nodeCodecs();

async function receive(stream: IncomingStream): Promise<string> {
  if (mode === 'container') return (await new TensorReceiver({ codecs, onTensor: consumer() }).receive(stream)).digest;
  const disk = nodeFolder(folder);
  const { model, figures } = await receiveModel(stream, {
    codecs,
    folder: mode === 'regular' ? memoryFolder() : disk,
    name: RECEIVED_SPOOL,
    durable: sync,
    // The result is an fp32 file: a coded model is decoded to one, a raw model already is its spool.
    ...(mode === 'file' && codec !== 'fp32' && { take: decoded(disk) }),
  });
  await model.close?.();
  return figures.digest;
}

function decoded(disk: Folder): (model: StateDict) => Promise<void> {
  return async (model) => {
    await writeSafetensors(disk, RECEIVED_MODEL, decodeModel(model, codecs), { durable: sync });
  };
}

/**
 * Holds one decoded tensor at a time, in one buffer for all, as a trainer in this process would.
 */
function consumer(): (tensor: TensorEntry, coded: Uint8Array, manifest: Manifest) => Promise<void> {
  const decoded = new GrowingBuffer();
  return async (tensor, coded, manifest) => {
    if (tensor.encoding.codec === 'raw') return;
    decoded.reserve(dtypeBytes(tensor.dtype, elementCount(tensor.shape)), tensor.name);
    let at = 0;
    for await (const { bytes } of decodeModel(tensorModel(tensor, coded, manifest, codecs), codecs).chunks()) {
      decoded.set(bytes, at);
      at += bytes.length;
    }
  };
}

process.stdin.on('end', () => process.exit(1)).resume();
const startedMs = performance.now();
const session = new Session(await tcp().connect(url), { name: 'receiver' });
const opened = new Promise<IncomingStream>((resolve) => void new Streams(session, resolve));
const messages = new Messages(session);
await session.start();
await messages.request(FETCH, {}, z.object({}));
const digest = await receive(await opened);
report({ received: { seconds: (performance.now() - startedMs) / 1000, digest }, peakRssBytes: peakRssBytes() });
await session.close();
process.exit(0);
