// Drivers over HTTP pass their suite through nginx, configured as in docs/proxies.md, and
// federations end with the same model as without it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Driver } from '../../src/driver/driver.js';
import { grpc, grpcs } from '../../src/node/drivers/grpc.js';
import { http, https } from '../../src/node/drivers/http.js';
import { ws, wss } from '../../src/node/drivers/ws.js';
import type { DriverUnderTest } from '../../src/testing/driver-pairs.js';
import { IS_FULL } from '../breadth.js';
import { localMaterial } from '../conformance/certificates.js';
import { tryDriver } from '../conformance/try-driver.js';
import { jobFile, modelOf, run, start, workFolder } from '../e2e/command.js';
import { type Nginx, startNginx, withoutNginx } from './nginx.js';

const material = await localMaterial();
const { ca, cert, key } = material as { ca: string; cert: string; key: string };
const nginx = withoutNginx ? undefined : await startNginx({ cert, key });
afterAll(() => nginx?.close());

/**
 * Sites connect to the proxy; the server listens behind it, on the address that the proxy expects.
 */
function behind(client: Driver, front: string, server: Driver, back: string): Driver {
  return {
    schemes: client.schemes,
    connect: client.connect,
    async listen(url, accept, options) {
      const listener = await (url === front ? server.listen?.(back, accept, options) : client.listen?.(url, accept, options));
      if (!listener) throw new Error('this driver cannot listen');
      return { url: front, close: () => listener.close() };
    },
  };
}

function suite(
  name: string,
  front: string,
  [client, server]: readonly [() => Driver, () => Driver],
  back: string,
  more: Partial<DriverUnderTest> = {},
): void {
  const make = (): Driver => behind(client(), front, server(), back);
  tryDriver(`${name} through nginx`, { make, listenUrl: front, deadUrl: `${name}://127.0.0.1:1`, connects: 500, ...more });
}

function suites({ behind: ports, tlsPort, plainPort }: Nginx): void {
  suite('wss', `wss://127.0.0.1:${tlsPort}/ws`, [() => wss(material), ws], `ws://127.0.0.1:${ports.ws}/ws`);
  suite('https', `https://127.0.0.1:${tlsPort}/http`, [() => https(material), http], `http://127.0.0.1:${ports.http}/http`);
  // nginx gives its servers unlimited windows: its own buffers and those of the sockets on both
  // sides come on top of the client's 48 MiB.
  const mostUnreadBytes = 128 * 2 ** 20;
  suite('grpc', `grpc://127.0.0.1:${plainPort}`, [grpc, grpc], `grpc://127.0.0.1:${ports.grpc}`, { mostUnreadBytes });
  // nginx holds back the head of an answer inside TLS until bytes follow, so that connecting takes
  // a while.
  suite('grpcs', `grpcs://127.0.0.1:${tlsPort}`, [() => grpcs(material), grpc], `grpc://127.0.0.1:${ports.grpc}`, {
    mostUnreadBytes,
    connects: 20,
  });
}
// The federations below go through it in any case.
if (nginx && IS_FULL) suites(nginx);

test.skipIf(withoutNginx)('federations over wss, https and grpcs through nginx end with one model, that of a simulation', async () => {
  const { behind: ports, tlsPort } = nginx as Nginx;
  const folder = workFolder();
  jobFile(folder, { rounds: 1 });
  writeFileSync(join(folder, 'ca.pem'), ca);
  const made = await run(['token', '--site', 'site-1', '--site', 'site-2'], folder);
  expect(made.code, made.stderr).toBe(0);
  const simulated = await run(['simulate', '--job', 'job.json', '--name', 'simulated'], folder);
  expect(simulated.code, simulated.stderr).toBe(0);
  const ways = {
    wss: [`ws://127.0.0.1:${ports.ws}/ws`, `wss://127.0.0.1:${tlsPort}/ws`],
    https: [`http://127.0.0.1:${ports.http}/http`, `https://127.0.0.1:${tlsPort}/http`],
    grpcs: [`grpc://127.0.0.1:${ports.grpc}`, `grpcs://127.0.0.1:${tlsPort}`],
  };
  for (const [name, [listen, connect]] of Object.entries(ways) as [string, [string, string]][]) {
    const server = start(['server', '--job', 'job.json', '--listen', listen, '--tokens', 'tokens.json', '--name', name], folder);
    await server.until('listening on');
    mkdirSync(join(folder, name));
    const sites = ['site-1', 'site-2'].map((site) => {
      const data = ['--data', `runs/simulated/data/${site}.jsonl`, '--work', `${name}/${site}`, '--threads', '1'];
      return run(
        ['client', '--connect', connect, '--tls-ca', 'ca.pem', '--token-file', `tokens/${site}.token`, '--site', site, ...data],
        folder,
      );
    });
    for (const site of await Promise.all(sites)) expect(site.code, site.stderr).toBe(0);
    const ended = await server.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(modelOf(folder, name).equals(modelOf(folder, 'simulated'))).toBe(true);
    const log = readFileSync(join(folder, `runs/${name}/logs/server.log`), 'utf8');
    expect(log).toContain(listen);
    expect(log).not.toContain('"level":"warn"');
  }
});
