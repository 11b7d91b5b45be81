// Wrong certificates over every driver inside TLS, and the names that a server learns.
import { beforeAll, expect, test } from 'vitest';
import type { Connection } from '../../driver/driver.js';
import { Session } from '../../frame/session.js';
import { type ThrowawayAuthority, throwawayAuthority } from '../tls/throwaway-certificates.js';
import { nodeDrivers } from './node-drivers.js';
import type { TlsMaterial } from './tls.js';

const SCHEMES = ['tcps', 'wss', 'https', 'grpcs'];
const DAY_MS = 86_400_000;
let authority: ThrowawayAuthority;
let right: TlsMaterial;

beforeAll(async () => {
  authority = await throwawayAuthority();
  right = { ca: authority.ca, ...(await authority.issue('localhost')) };
});

/**
 * Connects this client to that server and closes both ends; returns the client's names as the
 * server sees them.
 */
async function meet(scheme: string, server: TlsMaterial, client: TlsMaterial, host = 'localhost') {
  let accepted: (connection: Connection) => void = () => {};
  const accepting = new Promise<Connection>((resolve) => {
    accepted = resolve;
  });
  const refusals: string[] = [];
  const onRefused = (_: string, error: Error): void => void refusals.push(error.message);
  const listener = await nodeDrivers(server).listen?.(`${scheme}://${host}:0`, accepted, { onRefused });
  try {
    const connection = await nodeDrivers(client).connect(listener?.url ?? '');
    await connection.send(Uint8Array.of(1));
    const names = (await accepting).certificateNames;
    await Promise.all([connection.close(), (await accepting).close()]);
    return { names, refusals };
  } finally {
    await listener?.close();
  }
}

test.each(SCHEMES)('%s: the names of a certificate are those of the site', async (scheme) => {
  const site = await authority.issue('site-1', { alsoFor: ['hospital.example.org'] });
  expect((await meet(scheme, right, { ca: authority.ca, ...site })).names).toEqual(['site-1', 'hospital.example.org']);
  const optional = { ...right, certificateOptional: true };
  expect((await meet(scheme, optional, { ca: authority.ca })).names).toBeUndefined();
  const strange = await (await throwawayAuthority('somebody else')).issue('site-1');
  expect((await meet(scheme, optional, { ca: authority.ca, ...strange })).names).toEqual([]);
});

test.each(SCHEMES)('%s: a server that is not the one it should be is refused, and the line says why', async (scheme) => {
  const refused = async (server: TlsMaterial, message: RegExp, host?: string): Promise<void> => {
    const connecting = meet(scheme, server, { ca: authority.ca }, host);
    await expect(connecting).rejects.toMatchObject({ code: 'refused', message: expect.stringMatching(message) });
  };
  const old = { notBefore: new Date(Date.now() - 2 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) };
  await refused(await authority.issue('localhost', old), /its certificate has expired/);
  await refused(await authority.issue('elsewhere.example.org'), /its certificate is for another name/);
  await refused(await authority.issue('localhost'), /its certificate is for another name/, '127.0.0.1');
  await refused(await (await throwawayAuthority('somebody else')).issue('localhost'), /signed by nobody that this side trusts/);
});

test.each(SCHEMES)('%s: without its certificate nobody listens', async (scheme) => {
  await expect(nodeDrivers().listen?.(`${scheme}://localhost:0`, () => {})).rejects.toMatchObject({ code: 'bad-argument' });
});

test.each([
  ['tcps', 'tcp'],
  ['wss', 'ws'],
  ['https', 'http'],
  ['grpcs', 'grpc'],
])('a %s client of a server that speaks %s says so', async (secure, plain) => {
  const greet = (connection: Connection): void => void new Session(connection, { name: 'server' }).start().catch(() => {});
  const listener = await nodeDrivers().listen?.(`${plain}://localhost:0`, greet);
  const url = (listener?.url ?? '').replace(plain, secure);
  const connecting = nodeDrivers({ ca: authority.ca }).connect(url, { connectTimeoutMs: 2_000 });
  await expect(connecting).rejects.toMatchObject({
    code: expect.stringMatching(/^(bad-argument|refused|closed|timeout)$/),
    message: expect.stringContaining(url),
  });
  expect(await nodeDrivers().identify?.(url)).toMatchObject({
    code: 'bad-argument',
    message: expect.stringMatching(new RegExp(`${plain}://localhost:`)),
  });
  await listener?.close();
});
