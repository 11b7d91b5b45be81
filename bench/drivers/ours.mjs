// One side of a FedStream transfer for bench/drivers.mjs: a session, one byte stream, and requests meanwhile.

import { Session } from '../../dist/frame/session.js';
import { nodeDrivers } from '../../dist/node/drivers/node-drivers.js';
import { checksumOf, hashedMemory } from '../../dist/stream/hashed-memory.js';
import { LeafSums } from '../../dist/stream/leaf-sums.js';
import { Streams } from '../../dist/stream/streams.js';

const MIB = 2 ** 20;
/** Distinct leaves that are sent in turn: more than the caches hold. */
const LEAVES = 64;
const PROBE_MS = 10;

process.once('message', async ({ role, direction, mib, material, url, knowsSums }) => {
  const driver = nodeDrivers(material);
  const sends = (role === 'server') === (direction === 'down');
  const run = async (connection) => {
    const session = new Session(connection, { name: role });
    let startedMs = 0;
    let opened;
    const arriving = new Promise((resolve) => (opened = resolve));
    const streams = new Streams(session, (stream) => {
      startedMs = performance.now();
      opened(stream);
    });
    session.handle('request', (frame) => void session.control('reply', frame.stream));
    const waiting = new Map();
    session.handle('reply', (frame) => waiting.get(frame.stream)?.());
    await session.start();
    if (!sends) {
      const stream = await arriving;
      let bytes = 0;
      for await (const piece of stream.read()) bytes += piece.length;
      await stream.confirm();
      if (bytes !== mib * MIB) throw new Error(`${bytes} bytes arrived`);
      process.send({ type: 'done', seconds: (performance.now() - startedMs) / 1000 });
      return;
    }
    const latenciesMs = [];
    let asked = 0;
    const probe = setInterval(() => {
      const id = ++asked;
      const sentMs = performance.now();
      waiting.set(id, () => latenciesMs.push(performance.now() - sentMs));
      void session.control('request', id).catch(() => {});
    }, PROBE_MS);
    // Where the pieces of a spool lie, too.
    const allocate = hashedMemory(LEAVES);
    const leaves = Array.from({ length: LEAVES }, (_, i) =>
      allocate(MIB)
        .subarray(0, MIB)
        .fill(i + 1),
    );
    const once = leaves.map(checksumOf);
    const sums = new LeafSums();
    if (knowsSums) for (let at = 0; at < mib; at++) sums.push(once[at % LEAVES]);
    const source = {
      sums,
      totalBytes: mib * MIB,
      holds: true,
      async *read(offset) {
        for (let at = offset / MIB; at < mib; at++) yield leaves[at % LEAVES];
      },
    };
    await streams.send(null, source);
    clearInterval(probe);
    process.send({ type: 'done', latenciesMs });
  };
  process.once('disconnect', () => process.exit(0));
  if (role === 'server') {
    const listener = await driver.listen(url, (connection) => void run(connection));
    process.send({ type: 'listening', url: listener.url });
  } else process.once('message', async ({ url: to }) => run(await driver.connect(to)));
});
