// Transfers over shaped links between two network namespaces: rate × round trip × loss × codec × driver. Prints a table, and writes a page and plots.
// Run (as root): node bench/network.mjs [--quick] [--mbit 50,100,1000] [--rtt 1,50,200] [--loss 0,1] [--drivers tcp,…] [--mb 200] [--page docs/network.md]
// Each connection carries the model twice: `first` begins with TCP's slow start, `next` is what every later round of a federation finds. Coding takes no part:
// nf4 is a transfer of its size. Leaves of 1 MiB are what a chunk is (docs/spec/stream.md).
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { throwawayAuthority } from '../dist/node/throwaway-certificates.js';
import { CLIENT, lab, missing, PAYLOAD_SHARE, SERVER } from './network/lab.mjs';
import { networkPage, plotsOf } from './network/page.mjs';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    mbit: { type: 'string' },
    rtt: { type: 'string' },
    loss: { type: 'string' },
    drivers: { type: 'string' },
    mb: { type: 'string' },
    page: { type: 'string' },
  },
});
const numbers = (given, standard) => (given ?? standard).split(',').map(Number);
const rates = numbers(values.mbit, values.quick ? '100,1000' : '50,100,1000');
const roundTrips = numbers(values.rtt, '1,50,200');
const losses = numbers(values.loss, values.quick ? '0' : '0,1');
const drivers = (values.drivers ?? (values.quick ? 'tcp,tcps,ws,http,grpc' : 'tcp,tcps,ws,wss,http,https,grpc,grpcs')).split(',');
/** A quick run sends for seconds, not for half a minute, over slow links. */
const megabytes = (mbit) => Number(values.mb ?? (values.quick ? Math.min(200, mbit / 2) : 200));
/** 4 bits a value and 32 for each 64 of them, of 32. */
const NF4_SHARE = (4 + 32 / 64) / 32;
/** A transfer without an end is one that hangs. */
const HANG_MS = 300_000;

const authority = await throwawayAuthority();
const material = { ca: authority.ca, ...(await authority.issue('fedbench', { alsoFor: [SERVER.address] })) };
const side = (space) =>
  fork(fileURLToPath(new URL('network/side.mjs', import.meta.url)), [], {
    execPath: 'ip',
    execArgv: ['netns', 'exec', space, process.execPath, '--disable-warning=DEP0123'],
    stdio: 'inherit',
  });

/** Seconds and latencies of each transfer over one connection. */
async function transfer(scheme, transfers) {
  const server = side(SERVER.space);
  const client = side(CLIENT.space);
  const results = [];
  try {
    await new Promise((resolve, reject) => {
      const hang = setTimeout(() => reject(new Error(`${scheme}: a transfer did not end within ${HANG_MS / 1000} s`)), HANG_MS);
      server.on('message', (message) => {
        if (message.type === 'listening') client.send({ role: 'client', url: message.url, material });
        else results.push(message);
        if (results.length === transfers.length) {
          clearTimeout(hang);
          resolve();
        }
      });
      for (const child of [server, client]) child.once('exit', (code) => code && reject(new Error(`${scheme}: a side ended (${code})`)));
      server.send({ role: 'server', url: `${scheme}://${SERVER.address}:0`, material, transfers });
    });
  } finally {
    for (const child of [server, client]) child.kill();
  }
  return results;
}

const percentile = (all, share) => [...all].sort((a, b) => a - b)[Math.floor(all.length * share)] ?? 0;

const why = missing();
if (why) {
  console.error(`bench/network: ${why}`);
  process.exit(2);
}
const rows = [];
let emulator;
let congestion;
for (const mbit of rates)
  for (const roundTripMs of roundTrips)
    for (const lossPercent of losses) {
      const link = await lab({ mbit, roundTripMs, lossPercent });
      ({ emulator, congestion } = link);
      try {
        for (const scheme of drivers) {
          const bytes = megabytes(mbit) * 1e6;
          const [first, next, nf4] = await transfer(scheme, [bytes, bytes, Math.round(bytes * NF4_SHARE)]);
          const share = ({ seconds }) => (bytes * 8) / seconds / (mbit * 1e6 * PAYLOAD_SHARE);
          const latenciesMs = [...first.latenciesMs, ...next.latenciesMs];
          const row = { mbit, roundTripMs, lossPercent, scheme, megabytes: bytes / 1e6, first: share(first), next: share(next) };
          Object.assign(row, {
            nf4Speedup: next.seconds / nf4.seconds,
            controlP99Ms: percentile(latenciesMs, 0.99),
            seconds: next.seconds,
          });
          rows.push(row);
          console.log(
            `${String(mbit).padStart(4)} Mbit ${String(roundTripMs).padStart(3)} ms ${lossPercent} % loss  ${scheme.padEnd(5)} ${(row.megabytes).toFixed(0)} MB  first ${(100 * row.first).toFixed(1)} %  next ${(100 * row.next).toFixed(1)} % of the payload  nf4 ${row.nf4Speedup.toFixed(2)} × sooner  control p99 ${row.controlP99Ms.toFixed(0)} ms`,
          );
        }
      } finally {
        await link.close();
      }
    }
if (values.page) {
  const plots = plotsOf(rows);
  for (const [name, svg] of Object.entries(plots)) writeFileSync(join(dirname(values.page), 'images', name), svg);
  writeFileSync(values.page, networkPage(rows, { emulator, congestion, plots: Object.keys(plots), quick: values.quick }));
}
