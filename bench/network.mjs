// Transfers over shaped links between two network namespaces: rate × round trip × loss × driver × chunk size × stripes × codec. Prints a table, writes a page and plots.
// Run (as root): node bench/network.mjs [--quick] [--mbit 50,100,1000] [--rtt 1,50,200] [--loss 0,1] [--drivers tcp,…] [--chunks auto,64,…] [--stripes 1,4]
//                [--mb 200] [--round-trips 200] [--congestion cubic,bbr] [--jobs 4] [--rows bench/network/rows.json] [--page docs/network.md]
// --round-trips makes the model so large that it fills the link for so many round trips, at least --mb; --congestion is TCP's without loss and with it.
// --rows adds what is measured to a file, in place of what was measured under the same conditions, and the page shows all of it; --jobs measures so many slow links (100 Mbit and below) at the same time.
// Each connection carries the model twice: `first` begins with TCP's slow start, `next` is what every later round of a federation finds. Coding takes no part:
// nf4 is a transfer of its size.
import { fork } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { throwawayAuthority } from '../dist/node/throwaway-certificates.js';
import { congestionControls, lab, missing, PAYLOAD_SHARE, SERVER_ADDRESS } from './network/lab.mjs';
import { latest, networkPage, plotsOf, rowText } from './network/page.mjs';
import { planOf } from './network/plan.mjs';

const text = { type: 'string' };
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    mbit: text,
    rtt: text,
    loss: text,
    drivers: text,
    chunks: text,
    stripes: text,
    mb: text,
    congestion: text,
    'round-trips': text,
    jobs: { ...text, default: '1' },
    rows: text,
    page: text,
  },
});
/** A quick run sends for seconds, not for half a minute, over slow links. */
const leastMegabytes = (mbit) => Number(values.mb ?? (values.quick ? Math.min(200, mbit / 2) : 200));
const megabytes = ({ mbit, roundTripMs }) =>
  Math.max(leastMegabytes(mbit), (((mbit / 8) * roundTripMs) / 1000) * Number(values['round-trips'] ?? 0));
/** 4 bits a value and 32 for each 64 of them, of 32. */
const NF4_SHARE = (4 + 32 / 64) / 32;
/** A transfer without an end is one that hangs: so many times what the link would need, and as many seconds. */
const HANG = 60;
const SLOW_MBIT = 100;

const authority = await throwawayAuthority();
const material = { ca: authority.ca, ...(await authority.issue('fedbench', { alsoFor: [SERVER_ADDRESS] })) };
const side = (space) =>
  fork(fileURLToPath(new URL('network/side.mjs', import.meta.url)), [], {
    execPath: 'ip',
    execArgv: ['netns', 'exec', space, process.execPath, '--disable-warning=DEP0123'],
    stdio: 'inherit',
  });

/** What both sides tell of each transfer over one connection. */
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

/** A row a line, so that a difference shows what was measured again. */
const linesOf = (all) => `[\n${all.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`;
const percentile = (all, share) => [...all].sort((a, b) => a - b)[Math.floor(all.length * share)] ?? 0;

async function measure(shape, link, cell) {
  const { mbit } = shape;
  const bytes = Math.round(megabytes(shape) * 1e6);
  const firstBytes = Math.round(leastMegabytes(mbit) * 1e6);
  const payloadPerSecond = (mbit * 1e6 * PAYLOAD_SHARE) / 8;
  const hangMs = HANG * 1000 * (1 + (2 * bytes) / payloadPerSecond);
  const large = values['round-trips'] !== undefined;
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
const { links, cells } = planOf(values);
let rows = values.rows && existsSync(values.rows) ? JSON.parse(readFileSync(values.rows, 'utf8')) : [];
const works = links.flatMap((shape) => cells.map((cell) => ({ shape, cell })));
const [standard, ...available] = congestionControls();
const wanted = values.congestion?.split(',') ?? ['cubic', 'bbr'].map((name) => (available.includes(name) ? name : standard));
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
await Promise.all(Array.from({ length: Number(values.jobs) }, () => inTurn(slow)));
await inTurn(works.filter(({ shape }) => shape.mbit > SLOW_MBIT));
if (values.page) {
  const plots = plotsOf(rows);
  for (const [name, svg] of Object.entries(plots)) writeFileSync(join(dirname(values.page), 'images', name), svg);
  writeFileSync(values.page, networkPage(rows, Object.keys(plots)));
}
