// The receiving process of test/faults/kills.test.ts: tries until it has the object, then reports
// the figures of the last try.
import { referenceCodecs } from '../../dist/codec/codec-table.js';
import { Session } from '../../dist/frame/session.js';
import { tcp } from '../../dist/node/drivers/tcp.js';
import { nodeFolder } from '../../dist/node/storage/node-folder.js';
import { Streams } from '../../dist/stream/streams.js';
import { receiveModel } from '../../dist/transfer/receive.js';

const { port, folder } = JSON.parse(process.argv[2]);

for (;;) {
  let session;
  try {
    session = new Session(await tcp().connect(`tcp://127.0.0.1:${port}`), { name: 'receiver', idleMs: 1000 });
    const opened = new Promise((resolve) => new Streams(session, resolve));
    await session.start();
    const stream = await Promise.race([opened, session.closed.then((error) => Promise.reject(error))]);
    process.send?.({ began: true });
    const { model, figures } = await receiveModel(stream, { codecs: referenceCodecs, folder: nodeFolder(folder), name: 'a' });
    await model.close?.();
    process.send?.({ figures });
    await session.close();
    process.exit(0);
  } catch (error) {
    if (!['closed', 'timeout'].includes(error.code)) throw error;
    process.stderr.write(`${new Date().toISOString()} ${error.code} ${error.message}\n`);
    await session?.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
