// A TCP proxy that cuts, delays, throttles and flips bits, by a seed; it reorders nothing.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Random, randomStream } from '../../src/core/random.js';

export interface Weather {
  readonly seed: number;
  /**
   * The first connections are cut, each after at most `withinBytes` of either direction; later ones
   * are not.
   */
  readonly cuts?: { readonly connections: number; readonly withinBytes: number };
  /** Flips a bit in `oneIn` bytes on average, and `most` bits in all. */
  readonly flips?: { readonly oneIn: number; readonly most: number };
  readonly delayMs?: number;
  readonly bytesPerSecond?: number;
}

export interface Proxy {
  readonly port: number;
  readonly flipped: () => number;
  readonly cut: () => number;
  close(): Promise<void>;
}

export async function badWeather(targetPort: () => number, weather: Weather): Promise<Proxy> {
  const random = randomStream(weather.seed, 'weather');
  const state = { flipped: 0, cut: 0, connections: 0 };
  const sockets = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(targetPort(), '127.0.0.1');
    const mayCut = state.connections++ < (weather.cuts?.connections ?? 0);
    let left = mayCut ? 1 + random.integer(weather.cuts?.withinBytes ?? 1) : Number.POSITIVE_INFINITY;
    const cut = (): void => {
      state.cut++;
      near.destroy();
      far.destroy();
    };
    const taken = (bytes: number): boolean => {
      left -= bytes;
      if (left > 0) return true;
      cut();
      return false;
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      void pass(from, to, weather, random, state, taken);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    flipped: () => state.flipped,
    cut: () => state.cut,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Passes on the bytes of one direction in order: later, slower, and with flipped bits. */
async function pass(
  from: Socket,
  to: Socket,
  { delayMs = 0, bytesPerSecond, flips }: Weather,
  random: Random,
  state: { flipped: number },
  taken: (bytes: number) => boolean,
): Promise<void> {
  let untilFlip = nextFlip(random, flips);
  try {
    for await (const given of from) {
      const bytes = Buffer.from(given as Buffer);
      for (; untilFlip < bytes.length && state.flipped < (flips?.most ?? 0); untilFlip += nextFlip(random, flips)) {
        bytes[untilFlip] = (bytes[untilFlip] as number) ^ (1 << random.integer(8));
        state.flipped++;
      }
      untilFlip -= bytes.length;
      const waitMs = delayMs + (bytesPerSecond ? (1000 * bytes.length) / bytesPerSecond : 0);
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      if (!taken(bytes.length)) return;
      if (!to.write(bytes)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
    }
    to.end();
  } catch {
    to.destroy();
  }
}

function nextFlip(random: Random, flips: Weather['flips']): number {
  return flips ? 1 + random.integer(2 * flips.oneIn) : Number.POSITIVE_INFINITY;
}

function once(socket: Socket, event: 'drain' | 'close'): Promise<void> {
  return new Promise((resolve) => socket.once(event, () => resolve()));
}
