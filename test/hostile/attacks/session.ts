// Attacks by frames: a peer that asks and does not read, asks too much, or sends what fits nowhere.
import { encode } from '@msgpack/msgpack';
import { expect } from 'vitest';
import type { Connection } from '../../../src/driver/driver.js';
import { encodeJoin } from '../../../src/driver/stripe-join.js';
import { encodeFrame, type Frame } from '../../../src/frame/frame.js';
import { pack } from '../../../src/frame/pack.js';
import type { Attack, Target } from '../attack.js';
import type { Peer } from '../peer.js';

const MIB = 2 ** 20;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** So many empty lists in a list: each takes a byte on the wire. */
const lists = (count: number): unknown[] => Array.from({ length: count }, () => []);

/** Sends without waiting for anything, as long as the connection lives. */
function flood(connection: Connection, ...frames: readonly Uint8Array[]): void {
  for (const frame of frames) connection.send(frame).catch(() => {});
}

/** Frames of one type that come within a time, but for those that came before. */
async function came(peer: Peer, type: Frame['type'], ms: number): Promise<number> {
  let count = 0;
  void (async () => {
    for (let frame = await peer.read(); frame; frame = await peer.read()) if (frame.type === type) count++;
  })();
  await pause(ms);
  return count;
}

async function strangers(target: Target, count: number, act: (connection: Connection, index: number) => void): Promise<Connection[]> {
  const connections = await Promise.all(Array.from({ length: count }, () => target.connect()));
  for (const [index, connection] of connections.entries()) act(connection, index);
  return connections;
}

export const sessionAttacks: readonly Attack[] = [
  {
    name: 'a request that nobody answers is refused, and the session lives',
    async run(target) {
      const peer = await target.insider();
      expect((await peer.request('shutdown')).code).toBe('unsupported');
      expect((await peer.request('join')).code).toBeUndefined();
      await peer.close();
    },
  },
  {
    name: 'a peer that asks much and reads nothing ends once (budget controlBytes)',
    // Over gRPC 48 MiB go into the windows of this side before any frame has to wait.
    schemes: ['tcp', 'tcps', 'wss', 'https'],
    line: /leaves 8 MiB of control frames unread/,
    async run(target) {
      const peer = await target.insider();
      peer.session.extendIdle(600_000); // it is the server that ends this
      peer.stopReading();
      const ended = peer.connection.closed.then(() => true);
      let over = false;
      void ended.then(() => {
        over = true;
      });
      for (let i = 0; i < 120_000 && !over; i++) {
        const sent = peer.sendBytes(...encodeFrame('request', i, pack({ name: 'join' }), pack({})));
        if (i % 64 > 0) continue;
        await Promise.race([sent, ended]);
        await new Promise((resolve) => setImmediate(resolve)); // the honest sites live in this process too
      }
      await ended;
      await peer.close();
    },
  },
  {
    name: 'strangers that begin with large frames cost little (budget helloBytes)',
    line: /8192/,
    mostLines: 24,
    async run(target) {
      const before = target.rssBytes();
      const all = await strangers(target, 24, (connection) => flood(connection, ...lists(4).map(() => new Uint8Array(4 * MIB))));
      await Promise.all(all.map((connection) => connection.closed));
      expect(target.rssBytes() - before).toBeLessThan(50e6);
    },
  },
  {
    name: 'what follows a hello is not read before the hello is accepted',
    line: /nobody/,
    mostLines: 24,
    async run(target) {
      const before = target.rssBytes();
      const hello = Buffer.concat(encodeFrame('hello', 0, pack({ version: 1, name: 'nobody', idleMs: 10_000 })));
      const all = await strangers(target, 24, (connection) =>
        flood(connection, Uint8Array.from(hello), ...lists(4).map(() => new Uint8Array(4 * MIB))),
      );
      await Promise.all(all.map((connection) => connection.closed));
      expect(target.rssBytes() - before).toBeLessThan(50e6);
    },
  },
  {
    name: 'stripes of groups that never become complete are not read',
    line: /not all of its 5 stripes came/,
    mostLines: 8,
    async run(target) {
      const before = target.rssBytes();
      const all = await strangers(target, 32, (connection, i) => {
        const join = encodeJoin({ group: new Uint8Array(16).fill(i >> 2), index: i % 4, count: 5 });
        flood(connection, join, ...lists(4).map(() => new Uint8Array(4 * MIB)));
      });
      await pause(3_000);
      expect(target.rssBytes() - before).toBeLessThan(50e6);
      await Promise.all(all.map((connection) => connection.closed));
    },
  },
  {
    name: 'a hello of many small values is not decoded (budget helloItems)',
    line: /has more than 512 items/,
    async run(target) {
      const hello = pack({ version: 1, name: 'mallory', idleMs: 10_000, more: lists(4_000) });
      const [connection] = await strangers(target, 1, (one) => flood(one, Uint8Array.from(Buffer.concat(encodeFrame('hello', 0, hello)))));
      await connection?.closed;
    },
  },
  {
    name: 'a header of many small values ends the session (budget headerItems)',
    line: /has more than 8192 items/,
    async run(target) {
      const peer = await target.insider();
      await peer.send('open', 1, { meta: lists(60_000) });
      expect((await peer.closed).code).toBe('bad-frame');
    },
  },
  {
    name: 'a body of many small values is refused (budget messageItems)',
    async run(target) {
      const peer = await target.insider();
      const before = target.rssBytes();
      const body = encode(Array.from({ length: 60 }, () => lists(60_000)));
      for (let i = 0; i < 5; i++) expect(await peer.requestBytes('fail', body)).toMatchObject({ code: 'bad-frame' });
      expect(target.rssBytes() - before).toBeLessThan(50e6);
      await peer.close();
    },
  },
  {
    name: 'objects that are asked for and never taken wait for their turn (budget openSends, budget openRequests)',
    async run(target) {
      const peer = await target.insider();
      const before = target.rssBytes();
      const opened = came(peer, 'open', 3_000);
      const codes: (string | undefined)[] = [];
      const asks = Array.from({ length: 300 }, (_, ask) =>
        peer.request('retrieve', { kind: 'file', name: 'config.json', ask }).then(
          ({ code }) => void codes.push(code),
          () => {},
        ),
      );
      expect(await opened).toBe(4);
      expect(codes.filter((code) => code === 'limit').length).toBe(40);
      expect(codes.filter((code) => code === undefined).length).toBe(4);
      expect(target.rssBytes() - before).toBeLessThan(50e6);
      await peer.close();
      await Promise.all(asks);
    },
    mostLines: 8,
  },
  {
    name: 'requests with large bodies that wait for a task keep little, and nothing after their session',
    async run(target) {
      const before = target.rssBytes();
      for (let session = 0; session < 3; session++) {
        const peer = await target.insider();
        const body = new Uint8Array(4 * MIB);
        for (let i = 0; i < 20; i++) await peer.send('request', i, { name: 'next' }, body);
        await pause(300);
        expect(target.rssBytes() - before).toBeLessThan(90e6); // a frame of 4 MiB is on its way through several hands
        await peer.close();
      }
    },
  },
  {
    name: 'a hundred results at once are refused but for a few',
    mostLines: 120,
    async run(target) {
      const peer = await target.insider();
      const refused = came(peer, 'refuse', 3_000);
      const figures = { task: 'train-1-mallory', samples: 1, steps: 1, trainLoss: 1 };
      for (let stream = 1; stream <= 100; stream++) await peer.send('open', stream, { meta: { kind: 'result', figures }, totalBytes: 10 });
      expect(await refused).toBeGreaterThanOrEqual(90);
      await peer.close();
    },
  },
];
