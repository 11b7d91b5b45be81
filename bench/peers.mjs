// Runs NVFlare, Flower and bitsandbytes beside FedStream, in turns on this machine, and makes the
// tables of docs/performance.md out of what was measured.
import { appendFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { wholeNumber } from '../dist/cli/options.js';
import { benchCommand, listOf, oneOf } from './command.mjs';
import { codecTurns, filterTurns } from './peers/codecs.mjs';
import { workFolder } from './peers/command.mjs';
import { preparePeers } from './peers/environments.mjs';
import { writeTables } from './peers/page.mjs';
import { roundTurns } from './peers/rounds.mjs';
import { ROWS, readRows } from './peers/rows.mjs';
import { tablesOf } from './peers/tables.mjs';
import { transferTurns } from './peers/transfers.mjs';

/** What each scale measures; `small` fits into ten minutes on two cores. */
const SCALES = {
  small: { transfers: 0.1, roundMiB: 128, codecMiB: 128, filterMiB: 256, repeats: 1 },
  full: { transfers: 1, roundMiB: 512, codecMiB: 512, filterMiB: 1024, repeats: 3 },
};
const SITES = 3;
const SECTIONS = ['transfers', 'rounds', 'codecs', 'filters'];

const options = benchCommand(
  'peers.mjs',
  'NVFlare 2.9.0, Flower 1.42.0 and bitsandbytes 0.50.2 beside FedStream, in turns: model transfers, rounds without training, codecs, filters. Installs the peers into bench/.cache. Linux; needs .venv (node scripts/python-env.mjs).',
  [
    ['', 'everything, at the small scale: some ten minutes'],
    ['--scale full --dir /var/tmp', 'as docs/performance.md has it: 24 GB of memory, 30 GB of disk, an hour and more'],
    ['--only rounds,codecs --repeats 2', 'a part of it'],
    ['--docs', 'only make the tables of docs/performance.md anew, from bench/peers/results.jsonl'],
  ],
)
  .option('--scale <name>', `${Object.keys(SCALES).join(' or ')}`, oneOf(Object.keys(SCALES)), 'small')
  .option('--only <sections>', SECTIONS.join(', '), listOf(oneOf(SECTIONS)), SECTIONS)
  .option('--repeats <count>', 'how often each turn is taken; by default 1 (small) or 3 (full)', wholeNumber(1))
  .option('--dir <folder>', 'a folder on the disk to be used', tmpdir())
  .option('--keep', 'add the rows to bench/peers/results.jsonl, and make the tables of docs/performance.md anew')
  .option('--docs', 'measure nothing: make the tables of docs/performance.md from the rows in the tree')
  .parse()
  .opts();

if (options.docs) writeTables(readRows());
else await measure();

async function measure() {
  const scale = SCALES[options.scale];
  const work = workFolder(options.dir, 'fedstream-peers-');
  say('checking the peers');
  const peers = options.only.includes('rounds') ? ['nvflare', 'flower'] : ['nvflare'];
  const versions = { ...(await preparePeers(peers, say)), node: process.versions.node };
  const started = new Date().toISOString().slice(0, 10);
  const machine = { cores: cpus().length, cpu: cpus()[0]?.model.trim() ?? '', memoryGB: Math.round(totalmem() / 1e9) };
  const turns = {
    transfers: () => transferTurns({ scale: scale.transfers, work }),
    rounds: () => roundTurns({ mib: scale.roundMiB, sites: SITES, work }),
    codecs: () => codecTurns({ mib: scale.codecMiB }),
    filters: () => filterTurns({ mib: scale.filterMiB }),
  };
  const repeats = options.repeats ?? scale.repeats;
  const about = { scale: options.scale, date: started };
  const failed = [];
  for (const section of options.only) {
    const all = Array.from({ length: repeats }, (_, i) => turns[section]().map((turn) => ({ ...turn, repeat: i + 1 }))).flat();
    const found = await takeTurns(all, { section, ...about });
    const rows = [{ section: 'machine', of: section, ...about, ...machine, versions }, ...found.rows];
    console.log(`\n${tablesOf(rows)}\n`);
    // Section by section, since a full one takes an hour.
    if (options.keep && found.failed.length === 0) keep(section, rows);
    failed.push(...found.failed);
  }
  if (failed.length === 0) return;
  say(`${failed.length} turns failed, so that nothing is kept of their sections:\n${failed.join('\n')}`);
  process.exitCode = 1;
}

/** Takes one turn after the other, and goes on after one that fails. */
async function takeTurns(all, common) {
  const rows = [];
  const failed = [];
  for (const [index, { repeat, name, run }] of all.entries()) {
    say(`${common.section}, ${index + 1} of ${all.length}: ${name}`);
    const load = [loadavg()[0]];
    const found = await run().catch(({ message }) => {
      failed.push(`${name}: ${message}`);
      say(`failed: ${failed.at(-1)}`);
      return [];
    });
    load.push(loadavg()[0]);
    for (const row of found) {
      rows.push({ ...row, ...common, repeat, load: load.map((one) => Number(one.toFixed(1))) });
      console.log(JSON.stringify(rows.at(-1)));
    }
  }
  return { rows, failed };
}

/** Puts the rows in the place of those of the same scale and section, and makes the page anew. */
function keep(section, rows) {
  const kept = readRows().filter((row) => row.scale !== options.scale || (row.of ?? row.section) !== section);
  rmSync(ROWS, { force: true });
  for (const row of [...kept, ...rows]) appendFileSync(ROWS, `${JSON.stringify(row)}\n`);
  writeTables(readRows());
}

function say(text) {
  process.stderr.write(`${text}\n`);
}
