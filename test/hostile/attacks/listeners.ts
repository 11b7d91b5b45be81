// Attacks on listeners: connections that never become sessions.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, vi } from 'vitest';
import { BUDGETS } from '../../../src/core/budgets.js';
import type { Attack, Target } from '../attack.js';

/** More than one address may have pending. */
const CROWD = BUDGETS.pendingOfAddress.limit + 200;
/** The beginning of a TLS 1.2 ClientHello. */
const TLS_HELLO = Buffer.from('16030100c8010000c40303', 'hex');

/** Sockets that write these bytes and then wait; resolves once they are there. */
async function crowd(target: Target, count: number, bytes: Uint8Array): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(target.port, '127.0.0.1').on('error', () => {});
    socket.resume();
    sockets.push(socket);
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
    if (bytes.length > 0) socket.write(bytes);
  }
  return sockets;
}

const open = (sockets: readonly Socket[]): number => sockets.filter(({ closed, destroyed }) => !closed && !destroyed).length;

/** A crowd in front of the server: it holds the budget at most, and a site comes through. */
async function standInFront(target: Target, bytes: Uint8Array): Promise<void> {
  const sockets = await crowd(target, CROWD, bytes);
  await vi.waitFor(() => expect(open(sockets)).toBeLessThanOrEqual(BUDGETS.pendingOfAddress.limit), 10_000);
  expect(open(sockets)).toBeGreaterThan(0);
  // A site that is turned away tries again; after 2 s the crowd makes room for it.
  const insider = await vi.waitFor(() => target.insider(), { timeout: 15_000, interval: 500 });
  expect((await insider.request('join')).code).toBeUndefined();
  await insider.close();
  for (const socket of sockets) socket.destroy();
  await Promise.all(sockets.map((socket) => socket.closed || once(socket, 'close')));
}

export const listenersAttacks: readonly Attack[] = [
  {
    name: 'budget pendingOfAddress: a crowd of sockets that say nothing keeps no site away',
    line: /was cut off: \d+ connections from 127\.0\.0\.1 have not said who they are/,
    mostLines: 8,
    run: (target) => standInFront(target, new Uint8Array(0)),
  },
  {
    name: 'budget pendingOfAddress: a crowd in the middle of TLS handshakes keeps no site away',
    schemes: ['tcps', 'wss', 'https', 'grpcs'],
    mostLines: 8,
    run: (target) => standInFront(target, TLS_HELLO),
  },
  {
    name: 'budget handshakeMs: a TLS handshake that is not finished ends',
    schemes: ['tcps', 'wss', 'https', 'grpcs'],
    line: /did not finish the TLS handshake in time/,
    async run(target) {
      const [socket] = (await crowd(target, 1, TLS_HELLO)) as [Socket];
      await Promise.race([once(socket, 'close'), sleep(2 * BUDGETS.handshakeMs.limit)]);
      expect(socket.destroyed).toBe(true);
    },
  },
];
