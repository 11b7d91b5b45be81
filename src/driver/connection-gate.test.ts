// The gate lets honest peers in while others crowd in front of it, and ends those that say nothing.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BUDGETS } from '../core/budgets.js';
import { ConnectionGate, type GateLimits, type Pass } from './connection-gate.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A gate, the connections in front of it by name, and what it told. */
function gateWith(limits: GateLimits) {
  const told: string[] = [];
  const dropped: string[] = [];
  const gate = new ConnectionGate((_, { code, message }) => void told.push(`${code}: ${message}`), limits);
  let port = 0;
  const enter = (address: string, missingDescriptors = 0): Pass | undefined => {
    const peer = `${address}:${++port}`;
    return gate.enter({ peer, missingDescriptors, drop: () => void dropped.push(peer) });
  };
  return { gate, told, dropped, enter };
}

test('budget pendingConnections: a flood from one address gives way to others, and pushes nobody out', () => {
  const { gate, dropped, enter } = gateWith({ pendingConnections: 10 });
  for (let i = 0; i < 3; i++) enter(`10.0.1.${i}`);
  for (let i = 0; i < 40; i++) enter('10.0.0.7');
  expect(gate.waiting).toBe(10);
  for (let i = 3; i < 8; i++) expect(enter(`10.0.1.${i}`)).toBeDefined();
  expect(gate.waiting).toBe(10);
  expect(dropped.every((peer) => peer.startsWith('10.0.0.7:'))).toBe(true);
});

test('budget pendingOfAddress: young connections stay, older ones make room for one that may be a site', () => {
  const { told, dropped, enter } = gateWith({ pendingOfAddress: 4 });
  for (let i = 0; i < 4; i++) enter('10.0.0.7');
  expect(enter('10.0.0.7')).toBeUndefined();
  expect(told).toEqual(['limit: 10.0.0.7:5 was cut off: 4 connections from 10.0.0.7 have not said who they are']);
  vi.advanceTimersByTime(3_000);
  enter('10.0.0.7')?.admitted();
  expect(dropped).toEqual(['10.0.0.7:1']);
  expect(told[1]).toBe('limit: 10.0.0.7:1 was cut off: 4 connections from 10.0.0.7 have not said who they are');
});

test('the addresses of one customer count as one: a /64 of IPv6, and IPv4 written as IPv6', () => {
  const { enter } = gateWith({ pendingOfAddress: 2 });
  for (const address of ['2001:db8:0:1::1', '2001:db8:0:1:ffff::2']) expect(enter(address)).toBeDefined();
  expect(enter('2001:0db8::1:a:b:c:d')).toBeUndefined();
  expect(enter('2001:db8:0:2::1')).toBeDefined();
  for (const address of ['::ffff:10.0.0.1', '10.0.0.1']) expect(enter(address)).toBeDefined();
  expect(enter('10.0.0.1')).toBeUndefined();
});

test('budget connections: a pending one ends for a new one, and an admitted one never does', () => {
  const { told, dropped, enter } = gateWith({ connections: 3 });
  for (let i = 0; i < 3; i++) if (i > 0) enter(`10.0.0.${i}`)?.admitted();
  enter('10.0.0.9');
  enter('10.0.0.8')?.admitted();
  expect(dropped).toEqual(['10.0.0.9:3']);
  expect(enter('10.0.0.7')).toBeUndefined();
  expect(told.at(-1)).toMatch(/10\.0\.0\.7:5 was cut off: there are 3 connections, and no room for more/);
});

test('budget reservedDescriptors: without descriptors, pending ones make room for files', () => {
  const { gate, told, enter } = gateWith({});
  enter('10.0.0.1');
  enter('10.0.0.1');
  enter('10.0.0.2')?.admitted();
  expect(enter('10.0.0.3', 2)).toBeDefined();
  expect(gate.size).toBe(2);
  expect(told[0]).toMatch(/short of file descriptors; raise its limit \(ulimit -n\)/);
  expect(enter('10.0.0.4', 2)).toBeUndefined();
});

test('budget helloMs: a connection that does not say who it is ends; one that is admitted or idle stays', () => {
  const { gate, told, dropped, enter } = gateWith({});
  enter('10.0.0.1');
  enter('10.0.0.2')?.admitted();
  enter('10.0.0.3')?.idle();
  vi.advanceTimersByTime(BUDGETS.helloMs.limit + 2_000);
  expect(told).toEqual([`timeout: 10.0.0.1:1 did not say who it is within ${BUDGETS.helloMs.limit / 1000} s`]);
  expect([gate.size, gate.waiting]).toEqual([2, 1]);
  expect(gate.told('10.0.0.1:1')).toBe(true);
  expect(gate.told('10.0.0.2:2')).toBe(false);
  gate.close();
  expect(vi.getTimerCount()).toBe(0);
  expect([gate.size, dropped, told.length]).toEqual([1, ['10.0.0.1:1', '10.0.0.3:3'], 1]);
  expect(enter('10.0.0.4')).toBeUndefined();
});

test('of one address the silent ones make room first', () => {
  const { gate, dropped, enter } = gateWith({ pendingOfAddress: 3 });
  gate.enter({ peer: '10.0.0.7:80', hasSpoken: () => true, drop: () => void dropped.push('it has spoken') });
  gate.enter({ peer: '10.0.0.7:81', hasSpoken: () => false, drop: () => void dropped.push('silent') });
  enter('10.0.0.7');
  vi.advanceTimersByTime(3_000);
  enter('10.0.0.7');
  expect(dropped).toEqual(['silent']);
  enter('10.0.0.7');
  expect(dropped).toEqual(['silent', 'it has spoken']);
});

test('what is over is counted no more, whatever is said about it later', () => {
  const { gate, enter } = gateWith({ pendingOfAddress: 1 });
  for (let i = 0; i < 5; i++) {
    const pass = enter('10.0.0.1');
    pass?.leave();
    pass?.idle();
    pass?.leave();
  }
  expect([gate.size, gate.waiting]).toEqual([0, 0]);
});
