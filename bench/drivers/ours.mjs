// One side of a FedStream transfer for bench/drivers.mjs: a session, a byte stream after another
// that warms up, and requests meanwhile.

import { Queue } from '../../dist/core/queue.js';
import { Session } from '../../dist/frame/session.js';
import { nodeDrivers } from '../../dist/node/drivers/node-drivers.js';
import { checksumOf, hashedMemory } from '../../dist/stream/hashed-memory.js';
import { LeafSums } from '../../dist/stream/leaf-sums.js';
import { Streams } from '../../dist/stream/streams.js';

const MIB = 2 ** 20;
/** Distinct leaves that are sent in turn, more than the caches hold. */
const LEAVES = 64;
const PROBE_MS = 10;

process.once('message', async ({ role, direction, mib, warmMib, material, url, knowsSums }) => {
  const driver = nodeDrivers(material);
  const sends = (role === 'server') === (direction === 'down');
  const run = async (connection) => {
    const session = new Session(connection, { name: role });
    const arrived = new Queue();
    const streams = new Streams(session, (stream) => arrived.push({ stream, startedMs: performance.now() }));
    session.handle('request', (frame) => void session.control('reply', frame.stream));
    const waiting = new Map();
    session.handle('reply', (frame) => waiting.get(frame.stream)?.());
    await session.start();
    if (!sends) {
      for await (const { stream, startedMs } of arrived) {
        const { isMeasured, expectedBytes } = stream.meta;
        let bytes = 0;
        for await (const piece of stream.read()) bytes += piece.length;
        await stream.confirm();
        if (bytes !== expectedBytes) throw new Error(`${bytes} bytes arrived`);
        if (isMeasured) process.send({ type: 'done', seconds: (performance.now() - startedMs) / 1000 });
      }
      return;
    }
    // The same memory that the pieces of a spool lie in.
    const allocate = hashedMemory(LEAVES);
    const leaves = Array.from({ length: LEAVES }, (_, i) =>
      allocate(MIB)
        .subarray(0, MIB)
        .fill(i + 1),
    );
    const once = leaves.map(checksumOf);
    const send = async (amount, isMeasured) => {
      const sums = new LeafSums();
      if (knowsSums) for (let at = 0; at < amount; at++) sums.push(once[at % LEAVES]);
      const source = {
        sums,
        totalBytes: amount * MIB,
        holds: true,
        async *read(offset) {
          for (let at = offset / MIB; at < amount; at++) yield leaves[at % LEAVES];
        },
      };
      await streams.send({ isMeasured, expectedBytes: amount * MIB }, source);
    };
    await send(warmMib, false);
    const latenciesMs = [];
    let asked = 0;
    const probe = setInterval(() => {
      const id = ++asked;
      const sentMs = performance.now();
      waiting.set(id, () => latenciesMs.push(performance.now() - sentMs));
      void session.control('request', id).catch(() => {});
    }, PROBE_MS);
    await send(mib, true);
    clearInterval(probe);
    process.send({ type: 'done', latenciesMs });
  };
  process.once('disconnect', () => process.exit(0));
  if (role === 'server') {
    const listener = await driver.listen(url, (connection) => void run(connection));
    process.send({ type: 'listening', url: listener.url });
  } else process.once('message', async ({ url: to }) => run(await driver.connect(to)));
});
