// A link of a given rate: a proxy over TCP that passes on so many bits a second in each direction, to
// each connection. A process of its own, so that it does not wait for what it measures.
import { connect, createServer } from 'node:net';

const [port, mbit] = process.argv.slice(2).map(Number);
const BYTES_PER_MS = (mbit * 1e6) / 8 / 1000;

/** Passes bytes on at the rate of the link; a sender that is faster is held up. */
async function pass(from, to) {
  let freeMs = performance.now();
  try {
    for await (const bytes of from) {
      freeMs = Math.max(freeMs, performance.now()) + bytes.length / BYTES_PER_MS;
      const waitMs = freeMs - performance.now();
      if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
      if (!to.write(bytes)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
    }
    to.end();
  } catch {
    to.destroy();
  }
}

const server = createServer((near) => {
  const far = connect(port, '127.0.0.1');
  for (const [from, to] of [
    [near, far],
    [far, near],
  ]) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    void pass(from, to);
  }
});
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
