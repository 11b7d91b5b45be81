// The sending process of test/faults/kills.test.ts: serves one object until it is killed, from a
// spool that an earlier process may have left.
import { referenceCodecs } from '../../dist/codec/codec-table.js';
import { encodeModel } from '../../dist/codec/quantize.js';
import { Session } from '../../dist/frame/session.js';
import { tcp } from '../../dist/node/drivers/tcp.js';
import { nodeFolder } from '../../dist/node/storage/node-folder.js';
import { Streams } from '../../dist/stream/streams.js';
import { openSafetensors } from '../../dist/tensor/safetensors.js';
import { prepareModel, sendPrepared } from '../../dist/transfer/send.js';
import { spoolInfo, spoolSource } from '../../dist/transfer/spool.js';

const { port, folder, mode, codec } = JSON.parse(process.argv[2]);
const disk = nodeFolder(folder);
const model = await openSafetensors(disk, 'model.safetensors');
const coded = codec === 'raw' ? model : encodeModel(model, () => ({ codec }), referenceCodecs);
// A spool appears whole or not at all, so that one that exists can be used.
const kept = (await disk.sizeBytes('sent.spool')) !== undefined;
const prepared = kept
  ? { source: spoolSource(disk, 'sent.spool', await spoolInfo(disk, 'sent.spool')) }
  : await prepareModel(coded, referenceCodecs, mode, disk, 'sent.spool', 'the object of this test');

const tell = (error) => process.stderr.write(`${new Date().toISOString()} ${error.code} ${error.message}\n`);

await tcp().listen(`tcp://127.0.0.1:${port}`, (connection) => {
  const session = new Session(connection, { name: 'sender', idleMs: 1000 });
  const streams = new Streams(session, () => {});
  session.start().then(() => sendPrepared(streams, null, prepared).catch(tell), tell);
});
process.send?.('listening');
