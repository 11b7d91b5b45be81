// The sending process of `fedstream bench transfer`: codes the model by its mode, and sends it when
// asked.
import { encodeModel } from '../../codec/quantize.js';
import { FedStreamError } from '../../core/errors.js';
import { memoryFolder } from '../../core/memory-folder.js';
import type { Connection } from '../../driver/driver.js';
import { encodingByPolicy } from '../../filter/policy.js';
import { Session } from '../../frame/session.js';
import { Messages } from '../../message/messages.js';
import { nodeCodecMemory, nodeCodecs } from '../../node/codec/codecs.js';
import { tcp } from '../../node/drivers/tcp.js';
import { peakRssBytes } from '../../node/process/memory.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { Streams } from '../../stream/streams.js';
import { openModel } from '../../tensor/model-folder.js';
import type { TransferFigures } from '../../transfer/figures.js';
import { prepareAhead, sendPrepared } from '../../transfer/send.js';
import { FETCH, report, sideSettings } from './transfer-side.js';

const { mode, codec, folder, url } = sideSettings();

async function send(streams: Streams): Promise<TransferFigures> {
  const model = await openModel(nodeFolder(folder), { memory: nodeCodecMemory() });
  const coded = codec === 'fp32' ? model : encodeModel(model, encodingByPolicy(codec, nodeCodecs()), nodeCodecs());
  const spools = mode === 'regular' ? memoryFolder() : nodeFolder(`${folder}/sent`);
  const prepared = await prepareAhead(coded, nodeCodecs(), mode, spools, 'sent.spool', 'the benchmark’s model');
  const figures = await sendPrepared(streams, null, prepared);
  await prepared.release();
  await model.close?.();
  return figures;
}

async function serve(connection: Connection): Promise<void> {
  const session = new Session(connection, { name: 'sender' });
  const streams = new Streams(session, (stream) => void stream.reject(new FedStreamError('refused', 'nothing is taken here')));
  let sending = Promise.resolve();
  new Messages(session, {
    [FETCH]: () => {
      sending = send(streams).then(({ wireBytes, digest, retries }) =>
        report({ sent: { wireBytes, digest, retries }, peakRssBytes: peakRssBytes() }),
      );
      sending.catch(() => {});
      return {};
    },
  });
  await session.start();
  await session.closed;
  await sending;
}

process.stdin.on('end', () => process.exit(1)).resume();
const listener = await tcp().listen?.(url, (connection) => {
  serve(connection).then(
    () => process.exit(0),
    (error: Error) => {
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    },
  );
});
if (listener) report({ listening: listener.url });
