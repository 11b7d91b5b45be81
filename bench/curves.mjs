// Measures time and memory against the size of the model, sites, tensors and threads, prints tables,
// and says where a line is not straight.
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { positiveNumber, wholeNumber } from '../dist/cli/options.js';
import { benchCommand, listOf, oneOf } from './command.mjs';
import { AXES } from './curves/axes.mjs';
import { curveTables } from './curves/tables.mjs';
import { workFolder } from './peers/command.mjs';
import { PAGE, withPart } from './peers/page.mjs';
import { readRows } from './peers/rows.mjs';

const cores = availableParallelism();
/** The points of each axis; `modelScale` is the part of Llama-3.2-1B (5.99 GB) that sites and threads share. */
const SCALES = {
  small: { size: [0.1, 0.2, 0.4], sites: [1, 2, 4], tensors: [147, 1_000, 5_000], modelScale: 0.01, repeats: 1 },
  full: {
    size: [0.1, 0.5, 1, 2, 4, 8],
    sites: [1, 2, 4, 8, 16, 32],
    tensors: [147, 1_000, 5_000, 20_000, 50_000],
    modelScale: 0.05,
    repeats: 2,
  },
};
const THREADS = Array.from({ length: Math.max(2, cores) }, (_, i) => i + 1);

const options = benchCommand(
  'curves.mjs',
  'Time and memory against the size of the model, the number of sites, of tensors and of threads; tells where a line is not straight.',
  [
    ['', 'every axis, few points: some minutes'],
    [
      '--scale full --dir /var/tmp --keep',
      '0.1 to 8 GB, 1 to 32 sites, 147 to 50,000 tensors, for docs/performance.md: 20 GB of disk, an hour and more',
    ],
    ['--only size --points 1,3,5', 'one axis, with points of your own'],
  ],
)
  .option('--scale <name>', `${Object.keys(SCALES).join(' or ')}`, oneOf(Object.keys(SCALES)), 'small')
  .option('--only <axes>', Object.keys(AXES).join(', '), listOf(oneOf(Object.keys(AXES))), Object.keys(AXES))
  .option('--points <numbers>', 'the points of the axis that --only names: GB, sites, tensors or threads', listOf(positiveNumber))
  .option('--repeats <count>', 'how often each point is measured; the best counts; by default 1 (small) or 2 (full)', wholeNumber(1))
  .option('--dir <folder>', 'a folder on the disk to be used', tmpdir())
  .option('--keep', 'put the rows into bench/curves/results.jsonl, and make the tables of docs/performance.md anew')
  .option('--docs', 'measure nothing: make the tables of docs/performance.md from the rows in the tree')
  .parse()
  .opts();

const ROWS = fileURLToPath(new URL('curves/results.jsonl', import.meta.url));
if (options.docs) writePage();
else await measure();

async function measure() {
  const scale = SCALES[options.scale];
  const repeats = options.repeats ?? scale.repeats;
  const work = workFolder(options.dir, 'fedstream-curves-');
  const context = { dir: work, modelScale: scale.modelScale };
  const pointsOf = (axis) => options.points ?? (axis === 'threads' ? THREADS : scale[axis]);
  const date = new Date().toISOString().slice(0, 10);
  for (const axis of options.only) {
    const rows = [];
    // All points before the next repeat, so that a slow minute does not hit one point alone.
    for (let repeat = 1; repeat <= repeats; repeat++)
      for (const x of pointsOf(axis)) {
        process.stderr.write(`${x} ${AXES[axis].unit}, ${repeat} of ${repeats}\n`);
        const before = loadavg()[0];
        const found = await AXES[axis].measure(x, context);
        const load = [before, loadavg()[0]].map((one) => Number(one.toFixed(1)));
        for (const [curve, { seconds, mib }] of Object.entries(found)) {
          const measured = { seconds: Number(seconds.toFixed(3)), mib: Math.round(mib) };
          rows.push({ axis, curve, x, ...measured, scale: options.scale, repeat, load, date, cores });
          console.log(JSON.stringify(rows.at(-1)));
        }
      }
    console.log(`\n${curveTables(rows)}\n`);
    if (options.keep) keep(axis, rows);
  }
}

/** Puts the rows in the place of those of the same scale and axis, and makes the page anew. */
function keep(axis, rows) {
  const kept = readRows(ROWS).filter((row) => row.scale !== options.scale || row.axis !== axis);
  rmSync(ROWS, { force: true });
  for (const row of [...kept, ...rows]) appendFileSync(ROWS, `${JSON.stringify(row)}\n`);
  writePage();
}

function writePage() {
  writeFileSync(PAGE, withPart(readFileSync(PAGE, 'utf8'), 'bench/curves.mjs', curveTables(readRows(ROWS))));
}
