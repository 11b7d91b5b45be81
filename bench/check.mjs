// Counts what transfers and rounds do to files, sockets and memory, and compares it with the budgets
// in bench/check/budgets.json. It measures no time, so it says the same on any machine.
import { readFileSync, writeFileSync } from 'node:fs';
import { modelBytes, modelShape } from '../dist/cli/bench/model-shape.js';
import { wholeNumber } from '../dist/cli/options.js';
import { CASES, countCase, SCALE, SHAPE } from './check/cases.mjs';
import { faultsOf } from './check/compare.mjs';
import { benchCommand } from './command.mjs';

const options = benchCommand(
  'check.mjs',
  'Counts passes over the model, copies, system calls, syncs and peak memory of transfers and rounds, and compares them with bench/check/budgets.json. Ends with 1 where a count is above its budget.',
  [
    ['', 'every case'],
    ['--only file', 'the cases with "file" in their names'],
    ['--renew', 'count three times, and write the largest counts as the new budgets'],
  ],
)
  .option('--only <text>', 'only cases whose names have this text')
  .option('--renew', 'write the counts as the new budgets; look at their difference before you commit them')
  .option('--repeats <count>', 'how often each case is counted with --renew', wholeNumber(1), 3)
  .option('--json', 'print {cases, faults} as JSON on standard output')
  .parse()
  .opts();

const file = new URL('check/budgets.json', import.meta.url);
const budgets = JSON.parse(readFileSync(file, 'utf8'));
const chosen = CASES.filter(({ name }) => name.includes(options.only ?? ''));
if (chosen.length === 0) throw new Error(`no case has ${JSON.stringify(options.only)} in its name; there are: ${namesOf(CASES)}`);
const bytesOfModel = modelBytes(modelShape(SHAPE, Number(SCALE)));

const cases = {};
const faults = [];
for (const one of chosen) {
  if (!options.json) console.log(one.name);
  const counts = largest(Array.from({ length: options.renew ? options.repeats : 1 }, () => countCase(one)));
  cases[one.name] = counts;
  if (options.renew) budgets[one.name] = counts;
  faults.push(...faultsOf(one.name, counts, budgets[one.name]));
  if (!options.json) for (const [role, found] of Object.entries(counts)) console.log(line(role, found));
}
if (options.renew) {
  const known = CASES.flatMap(({ name }) => (budgets[name] ? [[name, budgets[name]]] : []));
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(known), null, 2)}\n`);
}
if (options.json) console.log(JSON.stringify({ cases, faults }));
else console.log(faults.length === 0 ? 'every count is within its budget' : `\n${faults.join('\n')}`);
process.exitCode = faults.length === 0 ? 0 : 1;

/** Bytes as passes over the model, and the rest as it is. */
function line(role, { readBytes, writtenBytes, copiedBytes, reads, writes, syncs, renames, peakBytes }) {
  const passes = (bytes) => (bytes / bytesOfModel).toFixed(2);
  const models = `reads ${passes(readBytes)} models, writes ${passes(writtenBytes)}, copies ${passes(copiedBytes)}`;
  const calls = `${reads} reads, ${writes} writes, ${syncs} syncs, ${renames} renames`;
  return `  ${role.padEnd(9)} ${models}; ${calls}; ${Math.round(peakBytes / 2 ** 20)} MiB`;
}

function largest(found) {
  const [first, ...others] = found;
  const most = (role, counter) => Math.max(...[first, ...others].map((counts) => counts[role][counter]));
  const counters = (role) => Object.keys(first[role]).map((counter) => [counter, most(role, counter)]);
  return Object.fromEntries(Object.keys(first).map((role) => [role, Object.fromEntries(counters(role))]));
}

function namesOf(all) {
  return all.map(({ name }) => JSON.stringify(name)).join(', ');
}
