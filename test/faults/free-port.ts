// Ports for servers that are killed and listen again, which nobody else may take meanwhile.
import { createServer } from 'node:net';

/**
 * Below the ports that Linux, macOS and Windows assign to clients and to listeners on port 0:
 * another test could get such a port while the server is dead, which could then not listen again.
 */
const FIRST = 20_000;
const COUNT = 10_000;
/** Ports for each test file: files run in parallel, each in a process of its own with a number. */
const EACH = 1_000;
const own = FIRST + ((Number(process.env.VITEST_POOL_ID ?? 0) * EACH) % COUNT);
let next = process.pid % EACH;

export async function freePort(): Promise<number> {
  for (let tries = 0; tries < EACH; tries++) {
    const port = own + (next++ % EACH);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port of ${own} to ${own + EACH - 1} is free`);
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
