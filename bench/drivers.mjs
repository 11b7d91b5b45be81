// Measures drivers on loopback: verified bytes from memory to memory, as a ratio to the bare
// library, and control latency meanwhile. The receiver verifies each leaf. The sender knows the
// checksums, as with a spool; with --unknown-sums it computes them while it sends. Bare and
// FedStream run in two processes each and alternate, and the best of each counts, since the machine
// may be shared. Each connection carries some bytes before the clock runs, because V8 compiles
// meanwhile (counters of bytes a second time, at 2^31 bytes), and a process of a federation lives
// for many rounds.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wholeNumber } from '../dist/cli/options.js';
import { throwawayAuthority } from '../dist/node/tls/throwaway-certificates.js';
import { benchCommand, listOf, oneOf } from './command.mjs';

/** The least ratio of each driver to its bare library. */
const FLOORS = { tcp: 0.6, uds: 0.6, tcps: 0.8, ws: 0.8, wss: 0.8, http: 0.8, https: 0.8, grpc: 0.8, grpcs: 0.8 };
const values = benchCommand(
  'drivers.mjs',
  'Drivers on loopback beside their bare libraries: GB/s of verified bytes, and control latency meanwhile.',
  [
    ['', 'all of them, minutes'],
    ['--only http,https --tries 4', 'two of them, the best of four'],
  ],
)
  .option('--only <list>', Object.keys(FLOORS).join(', '), listOf(oneOf(Object.keys(FLOORS))))
  .option('--mib <number>', 'bytes that are measured, MiB; half of them for drivers with TLS, and gRPC', wholeNumber(1), 3072)
  .option('--warm-mib <number>', 'bytes before them', wholeNumber(0), 8192)
  .option('--tries <number>', 'of which the best counts', wholeNumber(1), 2)
  .option('--unknown-sums', 'the sender makes checksums while it sends, which it has of a spool')
  .option('--json', 'print the rows as JSON')
  .parse()
  .opts();
/** The share of the bytes for slow drivers, so that all take seconds. */
const SHARE = { tcps: 0.5, wss: 0.5, https: 0.5, grpc: 0.5, grpcs: 0.5 };

const folder = mkdtempSync(join(tmpdir(), 'fedstream-bench-'));
const authority = await throwawayAuthority();
const material = { ca: authority.ca, ...(await authority.issue('localhost', { alsoFor: ['127.0.0.1'] })) };
const drivers = values.only ?? Object.keys(FLOORS);
const directions = ['down', 'up'];
const rows = [];

/** A transfer between two processes; `down` is from the server to the client. */
async function transfer(kind, scheme, direction) {
  const [mib, warmMib] = [values.mib, values.warmMib].map((amount) => Math.ceil(amount * (SHARE[scheme] ?? 1)));
  const side = (role) => {
    const url =
      scheme === 'uds' ? `uds://${join(folder, `${rows.length}-${kind}-${direction}-${Math.random()}.sock`)}` : `${scheme}://127.0.0.1:0`;
    const child = fork(fileURLToPath(new URL(`drivers/${kind}.mjs`, import.meta.url)), {
      stdio: 'inherit',
      execArgv: ['--disable-warning=DEP0123'],
    });
    child.send({
      role,
      scheme,
      direction,
      mib,
      warmMib,
      material,
      knowsSums: !values.unknownSums,
      url: role === 'server' ? url : undefined,
    });
    const heard = {};
    child.on('message', (message) => heard[message.type]?.(message));
    const hear = (type) => new Promise((resolve) => (heard[type] = resolve));
    return { child, listening: hear('listening'), done: hear('done'), exited: new Promise((resolve) => child.once('exit', resolve)) };
  };
  const server = side('server');
  const { url } = await server.listening;
  const client = side('client');
  client.child.send({ url });
  const receiver = direction === 'down' ? client : server;
  const sender = direction === 'down' ? server : client;
  const failed = Promise.race([server.exited, client.exited]).then((code) =>
    Promise.reject(new Error(`${kind} ${scheme} ended early (${code})`)),
  );
  failed.catch(() => {});
  const [received, sent] = await Promise.race([Promise.all([receiver.done, sender.done]), failed]);
  for (const { child } of [server, client]) child.disconnect();
  await Promise.all([server.exited, client.exited]);
  return { gbps: (mib * 2 ** 20) / received.seconds / 1e9, latenciesMs: sent.latenciesMs };
}

const percentile = (numbers, share) => [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))];

try {
  for (const scheme of drivers) {
    for (const direction of directions) {
      const best = { bare: 0, ours: 0 };
      const latenciesMs = [];
      for (let attempt = 0; attempt < values.tries; attempt++) {
        for (const kind of ['bare', 'ours']) {
          const { gbps, latenciesMs: some = [] } = await transfer(kind, scheme, direction);
          best[kind] = Math.max(best[kind], gbps);
          latenciesMs.push(...some);
        }
      }
      const ratio = best.ours / best.bare;
      const p99 = percentile(latenciesMs, 0.99);
      rows.push({
        scheme,
        direction,
        bareGbps: best.bare,
        gbps: best.ours,
        ratio,
        floor: FLOORS[scheme],
        p99Ms: p99,
        samples: latenciesMs.length,
      });
      if (!values.json)
        console.log(
          `${scheme.padEnd(6)} ${(direction === 'down' ? 'server → client' : 'client → server').padEnd(16)} bare ${best.bare.toFixed(2)} GB/s  FedStream ${best.ours.toFixed(2)} GB/s  ratio ${ratio.toFixed(2)} (${ratio >= FLOORS[scheme] ? 'at least' : 'BELOW'} ${FLOORS[scheme]})  control p50 ${percentile(latenciesMs, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms of ${latenciesMs.length}`,
        );
    }
  }
  if (values.json) console.log(JSON.stringify(rows, null, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
