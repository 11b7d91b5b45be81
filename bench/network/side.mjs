// One side of the transfers over a shaped link, for bench/network.mjs: a session, streams one after
// another, and requests meanwhile.
import { striped } from '../../dist/driver/striped.js';
import { Session } from '../../dist/frame/session.js';
import { nodeDrivers } from '../../dist/node/drivers/node-drivers.js';
import { Streams } from '../../dist/stream/streams.js';

const LEAF_BYTES = 2 ** 20;
const PROBE_MS = 20;
/**
 * A session exists for a while before it carries a model, and measures its round trip meanwhile.
 */
const BEFORE_MS = 1_500;

/** A source that sends the same leaf repeatedly, since the link is measured, not the memory. */
function repeated(totalBytes) {
  const leaf = new Uint8Array(LEAF_BYTES).map((_, i) => i * 31);
  return {
    totalBytes,
    holds: true,
    async *read(offset) {
      for (let at = offset; at < totalBytes; at += LEAF_BYTES) yield leaf.subarray(0, Math.min(LEAF_BYTES, totalBytes - at));
    },
  };
}

async function serve(session, streams, transfers) {
  const waiting = new Map();
  session.handle('reply', (frame) => waiting.get(frame.stream)?.());
  await session.start();
  await new Promise((resolve) => setTimeout(resolve, BEFORE_MS));
  let asked = 0;
  for (const bytes of transfers) {
    const latenciesMs = [];
    const probe = setInterval(() => {
      const sentMs = performance.now();
      waiting.set(++asked, () => latenciesMs.push(performance.now() - sentMs));
      void session.control('request', asked).catch(() => {});
    }, PROBE_MS);
    const startedMs = performance.now();
    const { retries } = await streams.send(null, repeated(bytes));
    clearInterval(probe);
    process.send({ type: 'sent', seconds: (performance.now() - startedMs) / 1000, latenciesMs, retries });
  }
}

/** Measures the time that the bytes after the first leaf take to arrive, verified. */
async function receive(stream, chunkBytes) {
  let firstMs = 0;
  let bytes = 0;
  for await (const piece of stream.read({ chunkBytes })) {
    if (firstMs === 0) firstMs = performance.now();
    else bytes += piece.length;
  }
  process.send({ type: 'received', bytes, seconds: (performance.now() - firstMs) / 1000 });
  await stream.confirm();
}

process.once('message', async ({ role, url, material, transfers, stripes, chunkBytes }) => {
  process.once('disconnect', () => process.exit(0));
  const driver = striped(nodeDrivers(material), stripes);
  if (role === 'server') {
    const listener = await driver.listen(url, (connection) => {
      const session = new Session(connection, { name: 'server', idleMs: 60_000 });
      void serve(session, new Streams(session, () => {}), transfers);
    });
    process.send({ type: 'listening', url: listener.url });
    return;
  }
  const session = new Session(await driver.connect(url), { name: 'client', idleMs: 60_000 });
  session.handle('request', (frame) => void session.control('reply', frame.stream));
  new Streams(session, (stream) => void receive(stream, chunkBytes));
  await session.start();
});
