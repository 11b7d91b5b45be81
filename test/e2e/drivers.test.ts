// A small main job over every driver: the same model, bit for bit. Sites without valid credentials
// are refused.
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { SCHEMES } from '../../src/driver/scheme.js';
import { throwawayAuthority, writeThrowawayCertificates } from '../../src/node/tls/throwaway-certificates.js';
import { breadth } from '../breadth.js';
import { jobFile, modelOf, run, start, workFolder } from './command.js';

const folder = workFolder();
const DAY_MS = 86_400_000;
let job = '';

beforeAll(async () => {
  job = jobFile(folder);
  const { code, stderr } = await run(['simulate', '--job', job, '--name', 'first'], folder);
  expect(code, stderr).toBe(0);
});

test.each(breadth<readonly string[]>(SCHEMES, ['https']))(
  'the main job over %s ends with the same model as over every other driver',
  async (driver) => {
    const ended = await run(['simulate', '--job', job, '--driver', driver, '--name', driver], folder);
    expect(ended.code, ended.stderr).toBe(0);
    const path = join(folder, 'runs', driver);
    expect(readFileSync(join(path, 'logs/server.log'), 'utf8')).toContain(`"url":"${driver}://`);
    expect(modelOf(folder, driver).equals(modelOf(folder, 'first'))).toBe(true);
    for (const secrets of ['certificates', 'tokens']) expect(existsSync(join(path, secrets))).toBe(false); // thrown away
  },
);

test('a job names its driver', async () => {
  const own = jobFile(folder, { driver: 'http' });
  const ended = await run(['simulate', '--job', own, '--name', 'own'], folder);
  job = jobFile(folder);
  expect(ended.code, ended.stderr).toBe(0);
  expect(readFileSync(join(folder, 'runs/own/logs/server.log'), 'utf8')).toContain('"url":"http://127.0.0.1:');
});

function site(name: string, url: string, ...args: string[]): string[] {
  return ['client', '--connect', url, '--site', name, '--data', `runs/first/data/${name}.jsonl`, '--work', `work/${name}`, ...args];
}

/** Starts a server; returns it with its URL, once it listens. */
async function serving(name: string, ...args: string[]) {
  const server = start(['server', '--job', job, '--name', name, ...args], folder);
  await server.until('listening on');
  const log = () => readFileSync(join(folder, 'runs', name, 'logs/server.log'), 'utf8');
  return { server, log, url: /"url":"([^"]+)"/.exec(log())?.[1] as string };
}

test('certificates and tokens: valid ones get in, and no others', async () => {
  const certificates = join(folder, 'certificates');
  const files = await writeThrowawayCertificates(certificates, ['site-1', 'site-2']);
  const tls = (name: string) => ['--tls-cert', files(name).cert, '--tls-key', files(name).key, '--tls-ca', files(name).ca];
  // Only site-2 may show a token; the others are made elsewhere.
  const made = await run(['token', '--site', 'site-2', '--tokens', 'proven.json', '--out', 'proven-tokens'], folder);
  expect(made.code, made.stderr).toBe(0);
  const elsewhere = await run(
    ['token', '--site', 'site-1', '--site', 'site-2', '--site', 'site-3', '--out', 'other', '--tokens', 'other.json'],
    folder,
  );
  expect(elsewhere.code, elsewhere.stderr).toBe(0);
  const otherAuthority = await throwawayAuthority('somebody else');
  const untrusted = await otherAuthority.issue('site-1');
  mkdirSync(join(folder, 'untrusted'));
  for (const [name, text] of Object.entries(untrusted)) writeFileSync(join(folder, 'untrusted', name), text, { mode: 0o600 });
  writeFileSync(join(folder, 'untrusted/ca'), otherAuthority.ca);
  const { server, log, url } = await serving('proven', '--listen', 'tcps://localhost:0', ...tls('localhost'), '--tokens', 'proven.json');
  const { ca } = files('localhost');
  const plainly = /the site is not admitted: its name, its run \(--run\) and its certificate or token must be those/;
  const unknown = /does not know the token of this site/;
  const tls1 = ['--tls-ca', ca];
  // What the site hears, and what the server's log says.
  const refusals: [string[], RegExp, RegExp][] = [
    [site('site-1', url, ...tls('site-2')), plainly, /calls itself site-1 and shows a certificate for site-2/],
    [site('site-1', url, ...tls1), plainly, /site-1 shows neither a certificate nor a token/],
    [site('site-1', url, ...tls1, '--token-file', 'other/site-1.token'), unknown, /does not know the token of this site/],
    [site('site-2', url, ...tls1, '--token-file', 'other/site-2.token'), unknown, /does not know the token of this site/],
    [
      site('site-2', url, ...tls('site-1'), '--token-file', 'proven-tokens/site-2.token'),
      plainly,
      /calls itself site-2 and shows a certificate for site-1/,
    ],
    [site('site-1', url, '--tls-ca', 'untrusted/ca'), /signed by nobody that this side trusts.*--tls-ca/, /was not let in|refused/],
    [site('site-3', url, ...tls1, '--token-file', 'other/site-3.token'), unknown, /site-3/],
  ];
  for (const [args, message, logged] of refusals) {
    const { code, stderr } = await run(
      args.map((arg) => (arg === 'runs/first/data/site-3.jsonl' ? 'runs/first/data/site-1.jsonl' : arg)),
      folder,
    );
    expect(stderr).toMatch(message);
    expect(stderr.match(/site-[^1-3]|proven/)).toBeNull();
    // The third line of a kind waits for the end of the server's 10 s of counting.
    await expect.poll(log, { timeout: 15_000 }).toMatch(logged);
    expect(code).toBe(1);
  }
  const bad = await run(site('site-1', url, '--tls-ca', ca, '--tls-cert', 'untrusted/cert', '--tls-key', 'untrusted/key'), folder);
  expect(bad.code).toBe(1);
  expect(bad.stderr).toMatch(plainly);
  expect(log()).toMatch(/a connection was refused: it calls itself site-1 and shows a certificate that does not verify/);
  const sites = await Promise.all([
    run(site('site-1', url, ...tls('site-1'), '--threads', '1'), folder),
    run(site('site-2', url, '--tls-ca', ca, '--token-file', 'proven-tokens/site-2.token', '--threads', '1'), folder),
  ]);
  for (const ended of sites) expect(ended.code, ended.stderr).toBe(0);
  expect((await server.ended).code).toBe(0);
  expect(modelOf(folder, 'proven').equals(modelOf(folder, 'first'))).toBe(true);
});

async function refusal(args: string[]): Promise<string> {
  const { code, stderr } = await run(args, folder);
  expect(code, stderr).toBe(2);
  const lines = stderr.split('\n').filter((line) => line.startsWith('fedstream: '));
  expect(lines).toHaveLength(1);
  return lines[0] as string;
}

test('files that cannot be used are named, each with its fault', async () => {
  const authority = await throwawayAuthority();
  const one = await authority.issue('site-1');
  const two = await authority.issue('site-2');
  const old = await authority.issue('site-1', { notBefore: new Date(Date.now() - 2 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) });
  const texts = {
    'one.crt': one.cert,
    'one.key': one.key,
    'two.key': two.key,
    'old.crt': old.cert,
    'old.key': old.key,
    short: 'secret',
    prose: 'hello',
  };
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  const client = (...args: string[]) => refusal(site('site-1', 'tcps://localhost:1', ...args));
  expect(await client('--tls-cert', 'one.crt')).toMatch(/give both --tls-cert and --tls-key/);
  expect(await client('--tls-cert', 'none.crt', '--tls-key', 'one.key')).toMatch(/cannot read none\.crt: there is no such file/);
  expect(await client('--tls-cert', 'one.crt', '--tls-key', 'two.key')).toMatch(/two\.key is not the key of the certificate in one\.crt/);
  expect(await client('--tls-cert', 'old.crt', '--tls-key', 'old.key')).toMatch(/CN=site-1 in old\.crt expired on/);
  expect(await client('--tls-cert', 'one.crt', '--tls-key', 'prose')).toMatch(/prose cannot be used as a key: it is no private key/);
  expect(await client('--tls-ca', 'prose')).toMatch(/prose holds no certificate in PEM form/);
  expect(await client('--token-file', 'short')).toMatch(/short holds no token of one site.*fedstream token --site/);
  const made = await run(['token', '--site', 'site-2', '--out', '.', '--tokens', 'loose.json'], folder);
  expect(made.code, made.stderr).toBe(0);
  expect(await client('--token-file', 'site-2.token')).toMatch(/site-2\.token is the token of site-2; give that of site-1/);
  chmodSync(join(folder, 'site-2.token'), 0o640);
  expect(await client('--token-file', 'site-2.token')).toMatch(
    /others than its owner may use it \(mode 0640\); run: chmod 600 site-2\.token/,
  );
  chmodSync(join(folder, 'one.key'), 0o604);
  expect(await client('--tls-cert', 'one.crt', '--tls-key', 'one.key')).toMatch(/one\.key holds a secret.*chmod 600 one\.key/);
  chmodSync(join(folder, 'loose.json'), 0o644);
  const server = ['server', '--job', job, '--name', 'open', '--tokens', 'loose.json'];
  expect(await refusal(server)).toMatch(/loose\.json holds a secret.*chmod 600 loose\.json/);
  writeFileSync(join(folder, 'twice.json'), '{"version":1,"sites":{},"sites":{}}', { mode: 0o600 });
  expect(await refusal(['server', '--job', job, '--name', 'open', '--tokens', 'twice.json'])).toMatch(/twice\.json .*it has sites twice/);
  expect(await refusal(['server', '--job', job, '--name', 'open', '--token-file', 'short'])).toMatch(
    /one token for all sites lets each of them be any other.*fedstream token --site NAME.*--tokens tokens\.json/,
  );
});

test('plain text stays on the machine unless it is allowed, and a server with TLS needs credentials', async () => {
  expect(await refusal(['server', '--job', job, '--name', 'open', '--listen', 'tcp://0.0.0.0:0'])).toMatch(/--allow-plain-text/);
  expect(await refusal(site('site-1', 'ws://192.0.2.1:80/fed'))).toMatch(/--allow-plain-text/);
  const { cert, key } = await throwawayAuthority().then((authority) => authority.issue('localhost'));
  writeFileSync(join(folder, 'server.crt'), cert);
  writeFileSync(join(folder, 'server.key'), key, { mode: 0o600 });
  const own = ['--tls-cert', 'server.crt', '--tls-key', 'server.key'];
  expect(await refusal(['server', '--job', job, '--name', 'open', '--listen', 'wss://0.0.0.0:0', ...own])).toMatch(
    /anybody could call himself/,
  );
  // A listener without certificates would let in sites that the other one refuses.
  const both = ['--listen', 'tcps://localhost:0', '--listen', 'ws://127.0.0.1:0'];
  expect(await refusal(['server', '--job', job, '--name', 'open', ...both, ...own, '--tls-ca', 'server.crt'])).toMatch(
    /no site could prove its name over ws:\/\/127\.0\.0\.1:0.*fedstream token.*--tokens/,
  );
  expect(await refusal(['server', '--job', job, '--name', 'open', '--listen', 'tcp://127.0.0.1:0', '--listen', 'tcp://0.0.0.0:0'])).toMatch(
    /--allow-plain-text/,
  );
  expect(existsSync(join(folder, 'runs/open'))).toBe(false);
});

test('one run over tcps, wss and uds at once: each site uses its own driver, and may name the run', async () => {
  const files = await writeThrowawayCertificates(join(folder, 'several'), ['site-1', 'site-2']);
  const tls = (name: string) => ['--tls-cert', files(name).cert, '--tls-key', files(name).key, '--tls-ca', files(name).ca];
  const made = await run(['token', '--site', 'site-2', '--tokens', 'several.json', '--out', 'several-tokens'], folder);
  expect(made.code, made.stderr).toBe(0);
  const socket = `uds://${join(folder, 'several.sock')}`;
  const listen = ['--listen', 'tcps://localhost:0', '--listen', 'wss://localhost:0/fed', '--listen', socket];
  const { server, log } = await serving('several', ...listen, ...tls('localhost'), '--tokens', 'several.json');
  await server.until(`listening on ${socket}`);
  const urls = [...log().matchAll(/"url":"([^"]+)"/g)].map(([, url]) => url as string);
  expect(urls).toEqual([expect.stringMatching(/^tcps:/), expect.stringMatching(/^wss:.*\/fed$/), socket]);
  const [tcps, wss] = urls as [string, string];
  const wrong = await run(site('site-1', tcps, ...tls('site-1'), '--run', 'another'), folder);
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toMatch(/the site is not admitted/);
  expect(log()).toMatch(/there is no run another here/);
  expect(statSync(join(folder, 'several.sock')).mode & 0o777).toBe(0o600);
  const nobody = await run(site('site-1', socket), folder);
  expect(nobody.stderr).toMatch(/the site is not admitted/);
  expect(log()).toMatch(/site-1 shows neither a certificate nor a token/);
  const sites = await Promise.all([
    run(site('site-1', tcps, ...tls('site-1'), '--run', 'several', '--threads', '1'), folder),
    run(site('site-2', wss, '--tls-ca', files('localhost').ca, '--token-file', 'several-tokens/site-2.token', '--threads', '1'), folder),
  ]);
  for (const ended of sites) expect(ended.code, ended.stderr).toBe(0);
  const ended = await server.ended;
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stderr.match(/^listening on .*; run folder /gm)).toHaveLength(3);
  expect(modelOf(folder, 'several').equals(modelOf(folder, 'first'))).toBe(true);
});
