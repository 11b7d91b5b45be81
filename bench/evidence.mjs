// Makes docs/evidence.md and its plots from the rows of bench/pretrained and bench/convergence.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FedStreamError } from '../dist/core/errors.js';
import { benchCommand } from './command.mjs';
import { evidencePage } from './evidence/page.mjs';
import { readRows } from './evidence/rows.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const values = benchCommand('evidence.mjs', 'Makes the page of the studies, and its plots, from their rows.', [
  ['', 'docs/evidence.md, from the rows of the tree'],
  ['--convergence trial.jsonl --page trial/evidence.md', 'from rows of your own, in a folder of your own'],
])
  .option('--convergence <file>', 'rows of bench/convergence.mjs', here('convergence/results.jsonl'))
  .option('--pretrained <file>', 'rows of bench/pretrained.mjs', here('pretrained/results.jsonl'))
  .option('--adapters <file>', 'and those of it that train an adapter', here('pretrained/lora.jsonl'))
  .option('--simulated <file>', 'rows of the exchange that was simulated on a GPU', here('pretrained/gpu-simulated.jsonl'))
  .option('--page <file>', 'the page; its plots go beside it, in images/', here('../docs/evidence.md'))
  .parse()
  .opts();

const files = [values.convergence, values.pretrained, values.adapters, values.simulated];
const [convergence, pretrained, adapters, simulated] = files.map(rowsOf);
const { page, plots } = evidencePage({ convergence, pretrained, adapters, simulated });
const images = join(dirname(values.page), 'images');
mkdirSync(images, { recursive: true });
for (const name of readdirSync(images)) if (/^evidence-.*\.svg$/.test(name) && !(name in plots)) rmSync(join(images, name));
for (const [name, svg] of Object.entries(plots)) writeFileSync(join(images, name), svg);
writeFileSync(values.page, page);
console.error(
  `${values.page}: ${convergence.length} + ${pretrained.length} + ${adapters.length} + ${simulated.length} rows, ${Object.keys(plots).length} plots`,
);

/** The rows of a file; a page without a section would look whole. */
function rowsOf(file) {
  const rows = readRows(file);
  if (rows.length > 0) return rows;
  throw new FedStreamError('bad-argument', `${file} has no rows: name a file with rows of the study, or restore it`);
}
