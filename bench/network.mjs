// Measures transfers over shaped links between two network namespaces: rate × round trip × loss ×
// driver × chunk size × stripes × codec. Prints a table, writes a page and plots. Each connection
// carries the model twice: `first` begins with TCP's slow start, `next` is like every later round
// of a federation. Nothing is coded: nf4 is a transfer of as many bytes.
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { positiveNumber, wholeNumber } from '../dist/cli/options.js';
import { FedStreamError } from '../dist/core/errors.js';
import { throwawayAuthority } from '../dist/node/tls/throwaway-certificates.js';
import { benchCommand, listOf, oneOf } from './command.mjs';
import { congestionControls, lab, missing, PAYLOAD_SHARE, SERVER_ADDRESS } from './network/lab.mjs';
import { latest, networkPage, plotsOf, rowText } from './network/page.mjs';
import { CHUNK_CHOICES, DRIVERS, planOf } from './network/plan.mjs';

const SLOW_MBIT = 100;
const values = benchCommand(
  'network.mjs',
  'Transfers over shaped links between two network namespaces, as root: a line each, and a page with plots.\nEvery driver over every link in every size of chunk, and stripes over the first driver.',
  [
    ['--quick', 'some links and drivers, without loss: minutes'],
    [
      '--loss 0 --rows bench/network/rows.json --page docs/network.md',
      'all without loss, added to what was measured before, and the page of it',
    ],
    ['--mbit 1000 --rtt 200 --drivers tcp --chunks auto --round-trips 200', 'one link, with a model that fills it for 200 round trips'],
  ],
)
  .option('--quick', 'fewer of everything, and less to send over slow links')
  .option('--mbit <list>', 'rates, Mbit/s; without --quick 50,100,1000', listOf(positiveNumber))
  .option('--rtt <list>', 'round trips, ms; 1,50,200', listOf(positiveNumber))
  .option('--loss <list>', 'per cent of packets that are lost; without --quick 0,1', listOf(wholeNumber(0, 50)))
  .option('--drivers <list>', DRIVERS.join(', '), listOf(oneOf(DRIVERS)))
  .option(
    '--chunks <list>',
    'KiB, or auto, what a stream chooses by itself; without --quick auto,64,256,1024,4096',
    listOf(oneOf(CHUNK_CHOICES)),
  )
  .option('--stripes <list>', 'connections that carry a session; without --quick 1,4', listOf(wholeNumber(1, 16)))
  .option('--mb <number>', 'size of the model, MB; without --quick 200', positiveNumber)
  .option('--round-trips <number>', 'a model so large, if --mb is less, that it fills the link for so many round trips', positiveNumber)
  .option('--congestion <list>', "TCP's congestion control without loss, and with it; cubic,bbr where the kernel has them", listOf(String))
  .option('--jobs <number>', `so many links of ${SLOW_MBIT} Mbit/s and less at the same time`, wholeNumber(1, 64), 1)
  .option('--rows <file>', 'add what is measured to this file, in place of what was measured under the same conditions')
  .option('--page <file>', 'write the page, and its plots beside it in images/')
  .parse()
  .opts();
/**
 * The least size of a model: a quick run sends for seconds over slow links, not for half a minute.
 */
const leastMegabytes = (mbit) => values.mb ?? (values.quick ? Math.min(200, mbit / 2) : 200);
const megabytes = ({ mbit, roundTripMs }) => Math.max(leastMegabytes(mbit), (((mbit / 8) * roundTripMs) / 1000) * (values.roundTrips ?? 0));
/**
 * The share of nf4 in fp32: 4 bits for each value and 32 for each 64 values, of 32 bits a value.
 */
const NF4_SHARE = (4 + 32 / 64) / 32;
/** A transfer that takes so many times its time on the link, and so many seconds more, hangs. */
const HANG = 60;

const authority = await throwawayAuthority();
const material = { ca: authority.ca, ...(await authority.issue('fedbench', { alsoFor: [SERVER_ADDRESS] })) };
const side = (space) =>
  fork(fileURLToPath(new URL('network/side.mjs', import.meta.url)), [], {
    execPath: 'ip',
    execArgv: ['netns', 'exec', space, process.execPath, '--disable-warning=DEP0123'],
    stdio: 'inherit',
  });

/** Figures of both sides, for each transfer over one connection. */
async function transfer(link, { scheme, chunkBytes, stripes = 1 }, transfers, hangMs) {
  const server = side(link.server);
  const client = side(link.client);
  const sent = [];
  const received = [];
  let hang;
  try {
    await new Promise((resolve, reject) => {
      hang = setTimeout(() => reject(new Error(`${scheme}: no end within ${hangMs / 1000} s`)), hangMs);
      server.on('message', (message) => {
        if (message.type === 'listening') client.send({ role: 'client', url: message.url, material, stripes, chunkBytes });
        else sent.push(message);
        if (sent.length === transfers.length) resolve();
      });
      client.on('message', (message) => received.push(message));
      for (const child of [server, client]) child.once('exit', (code) => code && reject(new Error(`${scheme}: a side ended (${code})`)));
      server.send({ role: 'server', url: `${scheme}://${SERVER_ADDRESS}:0`, material, transfers, stripes });
    });
  } finally {
    clearTimeout(hang);
    for (const child of [server, client]) child.kill();
  }
  return sent.map((one, i) => ({ ...one, flow: received[i] }));
}

/** A line for each row, so that a diff shows the rows that were measured again. */
const linesOf = (all) => `[\n${all.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`;
function readRows(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new FedStreamError('bad-data', `${file}, to which --rows adds, cannot be read: ${cause.message}`, { cause });
  }
}
const percentile = (all, share) => [...all].sort((a, b) => a - b)[Math.floor(all.length * share)] ?? 0;

async function measure(shape, link, cell) {
  const { mbit } = shape;
  const bytes = Math.round(megabytes(shape) * 1e6);
  const firstBytes = Math.round(leastMegabytes(mbit) * 1e6);
  const payloadPerSecond = (mbit * 1e6 * PAYLOAD_SHARE) / 8;
  const hangMs = HANG * 1000 * (1 + (2 * bytes) / payloadPerSecond);
  const large = values.roundTrips !== undefined;
  const row = { ...shape, ...cell, large, megabytes: bytes / 1e6, congestion: link.congestion, emulator: link.emulator };
  try {
    const [first, next, nf4] = await transfer(link, cell, [firstBytes, bytes, Math.round(bytes * NF4_SHARE)], hangMs);
    const whole = ({ seconds }, sent = bytes) => sent / seconds / payloadPerSecond;
    const flow = ({ flow }) => flow.bytes / flow.seconds / payloadPerSecond;
    const p99 = ({ latenciesMs }) => percentile(latenciesMs, 0.99);
    Object.assign(row, { first: whole(first, firstBytes), next: whole(next), flow: flow(next), seconds: next.seconds });
    Object.assign(row, { nf4Speedup: next.seconds / nf4.seconds, controlFirstP99Ms: p99(first), controlP99Ms: p99(next) });
  } catch (error) {
    row.failed = error.message;
  }
  return row;
}

const why = missing();
if (why) {
  console.error(`bench/network: ${why}`);
  process.exit(2);
}
const images = values.page && join(dirname(values.page), 'images');
if (images) mkdirSync(images, { recursive: true }); // before what takes long
const { links, cells } = planOf(values);
let rows = values.rows && existsSync(values.rows) ? readRows(values.rows) : [];
const works = links.flatMap((shape) => cells.map((cell) => ({ shape, cell })));
const [standard, ...available] = congestionControls();
const wanted = values.congestion ?? ['cubic', 'bbr'].map((name) => (available.includes(name) ? name : standard));
const unknown = wanted.find((name) => !available.includes(name));
if (unknown) {
  console.error(`bench/network: TCP here has no congestion control ${unknown}; it has ${available.join(' ').trim()}`);
  process.exit(2);
}
const [lossless, lossy = lossless] = wanted;
const work = async (shape, cell) => {
  const link = await lab({ ...shape, congestion: shape.lossPercent > 0 ? lossy : lossless });
  try {
    const row = await measure(shape, link, cell);
    rows = latest([...rows, row]);
    console.log(rowText(row));
    if (values.rows) writeFileSync(values.rows, linesOf(rows));
  } finally {
    await link.close();
  }
};
const inTurn = async (queue) => {
  for (let one = queue.shift(); one; one = queue.shift()) await work(one.shape, one.cell);
};
const slow = works.filter(({ shape }) => shape.mbit <= SLOW_MBIT);
await Promise.all(Array.from({ length: values.jobs }, () => inTurn(slow)));
await inTurn(works.filter(({ shape }) => shape.mbit > SLOW_MBIT));
if (values.page) {
  const plots = plotsOf(rows);
  for (const [name, svg] of Object.entries(plots)) writeFileSync(join(images, name), svg);
  writeFileSync(values.page, networkPage(rows, Object.keys(plots)));
}
